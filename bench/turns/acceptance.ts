/** The acceptance scenario: 2,000 users for an hour, with its aims. The short form lasts some seconds. */
import type { BenchContext, Ratio, Table } from '../suite/bench.js';
import { measure, type Stretch } from './meter.js';
import { errorShare, firsts, histogramOf, p95, turnTimes } from './samples.js';
import { quantile } from './scrape.js';
import type { Gathering } from './messages.js';
import type { Pace } from './script.js';
import type { Stand } from './stand.js';
import { percentile } from '../shared/figures.js';
import { orInterrupted } from '../shared/work.js';

const PEOPLE = 2_000;
const MARKS = { acquisitionMs: 200, errorsPercent: 0.5, turnSeconds: 15 };
/** With fewer leases a p95 is the slowest one. */
export const FEW_LEASES = 20;
const SHORT_MS = 11_000;
export const HOUR_MS = 3_600_000;

/** Users read the answer and write the next message; the model streams about 20 pieces a second, as the real one does. */
export const ACCEPTANCE_PACE: Pace = {
  thinkMs: 30_000,
  modelDelayMs: 600,
  tokens: 40,
  gapMs: 50,
  approveMs: 1_500,
  turnsPerSession: 20,
  turnTimeoutMs: 60_000,
};

export interface Acceptance {
  stretch: Stretch;
  attachSeconds: number;
  rssMib: number;
}

export async function accept(
  stand: Stand,
  gathering: Omit<Gathering, 'first' | 'step' | 'pace'>,
  { full, hours = 1, signal, progress }: BenchContext,
): Promise<Acceptance> {
  stand.model.setPace(ACCEPTANCE_PACE);
  await orInterrupted(stand.crowd.gather({ ...gathering, pace: ACCEPTANCE_PACE }), signal);
  progress(`acceptance: ${PEOPLE} users attach`);
  const began = performance.now();
  await orInterrupted(stand.crowd.attach(PEOPLE), signal);
  const attachSeconds = (performance.now() - began) / 1_000;
  progress(`acceptance: ${PEOPLE} users talk`);
  const measureMs = full ? hours * HOUR_MS : SHORT_MS;
  const stretch = await measure(stand, { way: 'fairlead', people: PEOPLE, warmMs: 0, measureMs }, signal);
  return { stretch, attachSeconds, rssMib: (await stand.engine.rssBytes()) / 1_048_576 };
}

export function acceptanceRatios({ stretch }: Acceptance): Ratio[] {
  const { acquisitionMs, errorsPercent, turnSeconds } = MARKS;
  return [
    mark('lease', 'time to a sandbox, p95', 1_000 * quantile(leasesOf(stretch), 0.95), 'ms', acquisitionMs),
    mark('errors', 'failed turns', 100 * errorShare(stretch), '%', errorsPercent),
    mark('turn', 'whole turn, p95', p95(turnTimes(stretch)) / 1_000, 's', turnSeconds),
  ];
}

function mark(id: string, name: string, value: number, unit: string, aim: number): Ratio {
  return {
    id: `acceptance-${id}`,
    name: `${PEOPLE.toLocaleString('en')} users: ${name}`,
    value,
    unit,
    better: 'lower',
    aim,
  };
}

export function acceptanceTable({ stretch, attachSeconds, rssMib }: Acceptance): Table {
  const first = firsts(stretch);
  const turns = turnTimes(stretch);
  const leases = leasesOf(stretch);
  const beyondModel = (p: number): number => percentile(first, p) - ACCEPTANCE_PACE.modelDelayMs;
  return {
    title: `Acceptance: ${PEOPLE.toLocaleString('en')} users for ${Math.round(stretch.seconds)} s`,
    head: ['', 'value'],
    rows: [
      ['all attached, s', attachSeconds],
      ['turns', stretch.turns.length],
      ['turns a second', stretch.turns.length / stretch.seconds],
      ['errors, %', 100 * errorShare(stretch)],
      ['time added to the first token, p50, ms', beyondModel(50)],
      ['p95, ms', beyondModel(95)],
      ['p99, ms', beyondModel(99)],
      ['turn p50, s', percentile(turns, 50) / 1_000],
      ['turn p95, s', p95(turns) / 1_000],
      ['containers leased', leases.count],
      ['time to a sandbox, p50, ms', 1_000 * quantile(leases, 0.5)],
      ['time to a sandbox, p95, ms', 1_000 * quantile(leases, 0.95)],
      ['all processors together, %', 100 * stretch.busy],
      ['server RSS, MiB', rssMib],
    ],
  };
}

export function leasesOf(stretch: Stretch): ReturnType<typeof histogramOf> {
  return histogramOf(stretch, 'fairlead_sandbox_lease_seconds');
}
