/** The ramp as tables and plots: each step; the first step and the knee by part, by thread, by store operation. */
import type { Plot, Table } from '../suite/bench.js';
import type { Stretch } from './meter.js';
import type { Step } from './ramp.js';
import { agentLoopDelayMs, average, errorShare, firsts, histogramOf, loopDelayMs, p95 } from './samples.js';
import { mean, quantile } from './scrape.js';
import { percentile } from '../shared/figures.js';

const byPeople = (a: Step, b: Step): number => a.people - b.people;

export function rampTable(steps: readonly Step[], modelDelayMs: number): Table {
  const head = ['users', 'turns a second', 'errors %', 'first p50 ms', 'p95', 'p99', 'added p95', 'SDK p50', 'SDK p95'];
  return {
    title: 'Time to the first token, by number of users',
    head: [...head, 'machine %', 'main loop p99 ms', 'agent’s', 'over its limit'],
    rows: steps.toSorted(byPeople).map(({ people, sdk, fairlead, over }) => {
      const first = firsts(fairlead);
      return [
        String(people),
        fairlead.turns.length / fairlead.seconds,
        100 * errorShare(fairlead),
        percentile(first, 50),
        p95(first),
        percentile(first, 99),
        p95(first) - modelDelayMs,
        percentile(firsts(sdk), 50),
        p95(firsts(sdk)),
        100 * fairlead.busy,
        loopDelayMs(fairlead, 'main'),
        agentLoopDelayMs(fairlead),
        over.join(', '),
      ];
    }),
  };
}

export function firstTokenPlot(steps: readonly Step[]): Plot {
  const sorted = steps.toSorted(byPeople);
  const line = (name: string, of: (step: Step) => number): Plot['lines'][number] => ({
    name,
    points: sorted.map((step) => [step.people, of(step)]),
  });
  return {
    title: 'Time to the first token',
    x: 'users',
    y: 'ms',
    scale: 'log',
    lines: [
      line('Fairlead p50', ({ fairlead }) => percentile(firsts(fairlead), 50)),
      line('Fairlead p95', ({ fairlead }) => p95(firsts(fairlead))),
      line('Fairlead p99', ({ fairlead }) => percentile(firsts(fairlead), 99)),
      line('SDK alone p50', ({ sdk }) => percentile(firsts(sdk), 50)),
      line('SDK alone p95', ({ sdk }) => p95(firsts(sdk))),
    ],
  };
}

/** Means, so that the parts add up. */
export function partsTable(steps: readonly Step[], modelDelayMs: number): Table {
  const columns = steps.map(({ sdk, fairlead }) => {
    const all = average(firsts(fairlead));
    const engine = 1_000 * mean(histogramOf(fairlead, 'fairlead_first_token_seconds'));
    const alone = average(firsts(sdk));
    const front = average(fairlead.pings);
    const commit = 1_000 * mean(histogramOf(fairlead, 'fairlead_store_seconds', { operation: 'commit' }));
    return [modelDelayMs, engine - modelDelayMs, commit, alone - modelDelayMs, front, all - engine - front, all];
  });
  const names = [
    'the model’s own',
    'agent thread: Redis, the call, its queue',
    '(of it a commit to Redis)',
    '(the SDK alone: the call, its queue)',
    'front: a ping there and back',
    'thread hops, the way to the client and in it',
    'together, without those in brackets',
  ];
  return {
    title: 'Where the time to the first token goes, mean ms',
    head: ['part', ...steps.map(({ people }) => `${people} people`)],
    rows: names.map((name, row) => [name, ...columns.map((column) => column[row] ?? Number.NaN)]),
  };
}

export function cpuTable({ people, spent, seconds }: Stretch): Table {
  const percent = (ms: number): number => ms / seconds / 10;
  return {
    title: `Processor time with ${people} users, % of one processor`,
    head: ['thread or process', 'ran', 'waited for a processor'],
    rows: [...spent].map(([name, { cpuMs, waitedMs }]) => [name, percent(cpuMs), percent(waitedMs)]),
  };
}

export function storeTable(stretch: Stretch): Table {
  const operations = stretch.after.labelValues('fairlead_store_seconds_count', 'operation');
  const rows = operations.flatMap((operation) => {
    const read = histogramOf(stretch, 'fairlead_store_seconds', { operation });
    if (read.count === 0) return [];
    const perTurn = read.count / stretch.turns.length;
    return [[operation, read.count / stretch.seconds, perTurn, 1_000 * mean(read), 1_000 * quantile(read, 0.95)]];
  });
  return {
    title: `Store operations with ${stretch.people} users`,
    head: ['operation', 'a second', 'a turn', 'mean ms', 'p95 ms'],
    rows,
  };
}
