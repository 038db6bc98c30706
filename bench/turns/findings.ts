/** The run's ratios with their aims, tables, plots and doubts. Pure. */
import type { Findings, Ratio, Table } from '../suite/bench.js';
import { acceptanceRatios, acceptanceTable, FEW_LEASES, HOUR_MS, leasesOf, type Acceptance } from './acceptance.js';
import type { Stretch } from './meter.js';
import { kneeOf, type RampPlan, type Step } from './ramp.js';
import { errorCounts, firsts, histogramOf, loopDelayMs, p95 } from './samples.js';
import { quantile } from './scrape.js';
import { cpuTable, firstTokenPlot, partsTable, rampTable, storeTable } from './step-tables.js';
import { percentile } from '../shared/figures.js';

const LOOP_AIM_MS = 10;
/** Above it a processor is seldom free when it is needed. */
const ALL_BUSY = 0.9;
/** With fewer turns a p99 is the slowest one. */
const FEW_TURNS = 100;

export function toFindings(steps: readonly Step[], acceptance: Acceptance, plan: RampPlan): Omit<Findings, 'settings'> {
  const { modelDelayMs } = plan;
  const [few] = steps;
  const knee = kneeOf(steps);
  const shown = [...new Set([few, knee])].filter((step) => step !== undefined);
  const all = [...steps.map(({ fairlead }) => fairlead), acceptance.stretch];
  return {
    ratios: [...(few ? fewRatios(few) : []), ...(knee ? kneeRatios(knee) : []), ...acceptanceRatios(acceptance)],
    tables: [
      rampTable(steps, modelDelayMs),
      partsTable(shown, modelDelayMs),
      ...(knee ? [cpuTable(knee.fairlead), storeTable(knee.fairlead)] : []),
      toolTable(all),
      acceptanceTable(acceptance),
      cpuTable(acceptance.stretch),
      ...errorTables(all),
    ],
    plots: [firstTokenPlot(steps)],
    doubts: [...rampDoubts(steps, knee, plan), ...acceptanceDoubts(acceptance)],
  };
}

function fewRatios({ people, sdk, fairlead }: Step): Ratio[] {
  const added = (p: number): number => percentile(firsts(fairlead), p) - percentile(firsts(sdk), p);
  const cpu = fairlead.engineMs / fairlead.turns.length / (sdk.peopleMs / sdk.turns.length);
  return [
    {
      id: 'first-token-p50',
      name: `Time added to the first token, ${people} users, p50`,
      value: added(50),
      unit: 'ms',
      better: 'lower',
    },
    {
      id: 'first-token-p95',
      name: `Time added to the first token, ${people} users, p95`,
      value: added(95),
      unit: 'ms',
      better: 'lower',
    },
    {
      id: 'turn-cpu',
      name: `CPU time of a turn, ${people} users, relative to the SDK alone`,
      value: cpu,
      unit: '×',
      better: 'lower',
    },
  ];
}

function kneeRatios({ people, sdk, fairlead }: Step): Ratio[] {
  const ratio = p95(firsts(fairlead)) / p95(firsts(sdk));
  const delay = loopDelayMs(fairlead, 'main');
  return [
    {
      id: 'knee-people',
      name: 'Users at once within the limits (200 ms added, 0.5 % errors)',
      value: people,
      unit: 'people',
      better: 'higher',
    },
    {
      id: 'knee-turns',
      name: 'Turns per second of that many users',
      value: fairlead.turns.length / fairlead.seconds,
      unit: 'a second',
      better: 'higher',
    },
    {
      id: 'knee-first-token',
      name: 'First token with that many users, p95, relative to the SDK alone',
      value: ratio,
      unit: '×',
      better: 'lower',
    },
    {
      id: 'knee-loop-delay',
      name: 'Event-loop delay of the main thread with that many users, p99',
      value: delay,
      unit: 'ms',
      better: 'lower',
      aim: LOOP_AIM_MS,
    },
  ];
}

/** All tool calls of the run, since few users use tools. */
function toolTable(stretches: readonly Stretch[]): Table {
  const calls = stretches.flatMap(({ turns }) => turns.flatMap(({ toolMs }) => toolMs ?? []));
  const [first] = stretches;
  const last = stretches.at(-1);
  const leases =
    first && last
      ? histogramOf({ before: first.before, after: last.after }, 'fairlead_sandbox_lease_seconds')
      : undefined;
  const rows: Table['rows'] = [
    ['a tool call, as the user sees it', calls.length, percentile(calls, 50), p95(calls), Math.max(...calls)],
  ];
  if (leases) {
    const at = (share: number): number => 1_000 * quantile(leases, share);
    rows.push(['of it the lease, as the docker thread sees it', leases.count, at(0.5), at(0.95), at(1)]);
  }
  return {
    title: 'Tools in containers, ramp and acceptance',
    head: ['', 'number', 'p50 ms', 'p95 ms', 'max ms'],
    rows,
  };
}

function errorTables(stretches: readonly Stretch[]): Table[] {
  const rows = stretches.flatMap((stretch) =>
    errorCounts(stretch).map(([error, count]) => [error, stretch.people, count]),
  );
  return rows.length === 0 ? [] : [{ title: 'Errors', head: ['what', 'users', 'turns'], rows }];
}

function rampDoubts(steps: readonly Step[], knee: Step | undefined, { first, max }: RampPlan): string[] {
  const doubts: string[] = [];
  const broke = steps.filter(({ over }) => over.length > 0);
  if (!knee) doubts.push(`already ${first} users exceeded the limits: there is no figure for users within them`);
  else if (broke.length === 0) doubts.push(`no limit was exceeded up to ${max} users: more users fit`);
  const looked = [...(knee ? [knee] : []), ...broke].toSorted((a, b) => a.people - b.people).slice(0, 2);
  for (const { people, fairlead, sdk } of looked) {
    for (const who of fairlead.exhausted) doubts.push(`with ${people} users the process of ${who} was saturated`);
    for (const who of sdk.exhausted) {
      doubts.push(
        `with ${people} people the SDK alone: the process of ${who} was saturated, so its times are those of a queue`,
      );
    }
    if (fairlead.busy > ALL_BUSY) {
      const percent = Math.round(100 * fairlead.busy);
      doubts.push(
        `with ${people} users ${percent} % of all processors was in use, by users, model, Redis and server together: ` +
          'the machine is the limit, and loop delays are in part waits for a processor',
      );
    }
  }
  for (const { people, fairlead } of steps) {
    if (fairlead.turns.length >= FEW_TURNS) continue;
    doubts.push(`with ${people} users there were ${fairlead.turns.length} turns, too few for a p99`);
  }
  return doubts;
}

function acceptanceDoubts({ stretch }: Acceptance): string[] {
  const doubts = stretch.exhausted.map((who) => `acceptance: the process of ${who} was saturated`);
  const leases = leasesOf(stretch).count;
  if (leases < FEW_LEASES) doubts.push(`acceptance: with ${leases} leased containers the p95 is the slowest one`);
  if (stretch.seconds * 1_000 < HOUR_MS) {
    doubts.push(
      `acceptance: ${Math.round(stretch.seconds)} s in place of an hour show neither leaks nor long histories`,
    );
  }
  return doubts;
}
