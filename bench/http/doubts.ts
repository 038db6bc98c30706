/** Why the figures of a run cannot be trusted: wrong answers, a saturated client or machine, rounds that differ. Pure. */
import { MIN_FOR_P99 } from './findings.js';
import type { Row } from './measure.js';
import { rate } from './sample.js';

const BUSY = 0.9;
const MAX_SPREAD = 0.15;

export function doubtsOf(rows: readonly Row[], cpus: number): string[] {
  return [
    ...sentence(
      rows.filter(({ all }) => all.wrong + all.errors > 0),
      ({ all }) => `${all.wrong} wrong, ${all.errors} without one`,
      'not all answers were right',
    ),
    ...sentence(
      rows.filter(({ all }) => all.clientBusy >= BUSY),
      ({ all }) => percent(all.clientBusy),
      'the client was the bottleneck, so a server may do more (the ratio by CPU does not depend on it)',
    ),
    ...sentence(
      rows.filter((row) => processors(row) >= BUSY * cpus),
      (row) => `${processors(row).toFixed(1)} of ${cpus}`,
      'client, server and Redis took all processors, so an answer waits for one of them too',
    ),
    ...sentence(
      rows.filter((row) => spread(row) > MAX_SPREAD),
      (row) => percent(spread(row)),
      `requests/s differ between rounds by more than ${percent(MAX_SPREAD)}`,
    ),
    ...sentence(
      rows.filter(({ all }) => all.latencies.length < MIN_FOR_P99),
      ({ all }) => String(all.latencies.length),
      `fewer than ${MIN_FOR_P99} answers, so no p99`,
    ),
  ];
}

/** How many processors were busy with it on average. */
function processors({ all }: Row): number {
  return all.clientBusy + (all.serverCpuMs + all.storeCpuMs) / 1_000 / all.seconds;
}

function spread({ rounds, all }: Row): number {
  const rates = rounds.map(rate);
  return (Math.max(...rates) - Math.min(...rates)) / rate(all);
}

function sentence(rows: readonly Row[], tell: (row: Row) => string, what: string): string[] {
  if (rows.length === 0) return [];
  const where = rows.map((row) => `${row.group.name}, ${row.name}, ${row.connections} (${tell(row)})`);
  return [`${what}: ${where.join('; ')}`];
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
