/** The figures of the pool bench as ratios, tables, plots and doubts. Pure. */
import type { Findings, Plot, Ratio, Table } from '../suite/bench.js';
import type { Burst } from './burst.js';
import type { LeaseFigures, LeaseTimes } from './lease.js';
import type { RefillFigures, Took } from './refill.js';
import type { ToolCallTimes } from './tool-call.js';
import { median, percentile } from '../shared/figures.js';

/** With fewer samples a p99 is the slowest of a few. */
const FEW = 100;
const BUSY_LOOP = 0.9;
/** Rounds of the same kind that differ by more are told as a doubt. */
const WIDE = 1.25;

export interface PoolFigures {
  settings: Findings['settings'];
  /** Size of the pool in the lease part, and containers made in the refill part. */
  warm: number;
  containers: number;
  leases: LeaseFigures;
  refill: RefillFigures;
  bursts: readonly Burst[];
  toolCalls: ToolCallTimes;
}

export function findingsOf(figures: PoolFigures): Findings {
  const { settings, bursts } = figures;
  return {
    settings,
    ratios: [...leaseRatios(figures), refillRatio(figures), ...burstRatios(bursts), toolCallRatio(figures)],
    tables: [leaseTable(figures), refillTable(figures), burstTable(bursts), toolCallTable(figures.toolCalls)],
    plots: burstPlots(bursts),
    doubts: doubtsOf(figures),
  };
}

function leaseRatios({ leases, warm }: PoolFigures): Ratio[] {
  const { bare, oneAtATime, allAtOnce } = leases;
  return [
    ms('lease-p50', 'Lease from the warm pool, p50', percentile(oneAtATime.leaseMs, 50), 1),
    ms('lease-p99', 'Lease from the warm pool, p99', percentile(oneAtATime.leaseMs, 99), 5),
    ms('lease-at-once', `Lease from the warm pool, ${warm} at once, p99`, percentile(allAtOnce.leaseMs, 99), 25),
    {
      id: 'first-answer',
      name: 'First tool answer from the warm pool, relative to a container made on demand',
      value: firstAnswer(oneAtATime) / firstAnswer(bare),
      unit: '×',
      better: 'lower',
    },
  ];
}

function ms(id: string, name: string, value: number, aim: number): Ratio {
  return { id, name, value, unit: 'ms', better: 'lower', aim };
}

function firstAnswer({ leaseMs, callMs }: LeaseTimes): number {
  return median(leaseMs.map((ms, index) => ms + (callMs[index] ?? Number.NaN)));
}

function refillRatio({ refill }: PoolFigures): Ratio {
  // Of all rounds together, since each way was equally often the second of a pair.
  const value = allSeconds(refill.bare) / allSeconds(refill.pool);
  return {
    id: 'refill-rate',
    name: 'Containers started per second, relative to a bare dockerode loop',
    value,
    unit: '×',
    better: 'higher',
    aim: 0.95,
  };
}

function allSeconds(took: readonly Took[]): number {
  return took.reduce((sum, { seconds }) => sum + seconds, 0);
}

function burstRatios(bursts: readonly Burst[]): Ratio[] {
  const ratios: Ratio[] = [];
  for (const [people, warm] of waysOf(bursts)) {
    if (warm === undefined) continue;
    const ours = together(bursts, people, warm);
    const theirs = together(bursts, people, undefined);
    const of = (share: string, p: number): Ratio => ({
      id: `burst-${people}-${warm}-${share}`,
      name: `${people} users at once, ${warm} warm: until ${share} of them are served, relative to a container made for each`,
      value: percentile(ours.servedMs, p) / percentile(theirs.servedMs, p),
      unit: '×',
      better: 'lower',
    });
    ratios.push(of('half', 50), of('all', 100));
  }
  return ratios;
}

function toolCallRatio({ toolCalls }: PoolFigures): Ratio {
  const value = median(toolCalls.free) / median(toolCalls.bare);
  return {
    id: 'tool-call',
    name: 'Tool call as the client sees it, relative to the container’s bare stream',
    value,
    unit: '×',
    better: 'lower',
    aim: 2,
  };
}

function leaseTable({ leases, warm }: PoolFigures): Table {
  return {
    title: 'A sandbox for one session: ms',
    head: ['', 'lease p50', 'p99', 'first call p50', 'p99', 'leases'],
    rows: [
      leaseRow('dockerode alone: created, attached, handshake done', leases.bare),
      leaseRow('warm pool, 1 at a time', leases.oneAtATime),
      leaseRow(`warm pool, ${warm} at once`, leases.allAtOnce),
    ],
  };
}

function leaseRow(name: string, { leaseMs, callMs }: LeaseTimes): (string | number)[] {
  const figures = [leaseMs, callMs].flatMap((values) => [50, 99].map((p) => percentile(values, p)));
  return [name, ...figures, leaseMs.length];
}

function refillTable({ refill, containers }: PoolFigures): Table {
  return {
    title: `From an empty pool to ${containers} containers; means of ${refill.bare.length} rounds`,
    head: ['', 's', 'min', 'max', 'containers/s', 'own CPU of each, ms'],
    rows: [refillRow('bare loop', refill.bare, containers), refillRow('pool', refill.pool, containers)],
  };
}

function refillRow(name: string, took: readonly Took[], containers: number): (string | number)[] {
  const each = took.map(({ seconds }) => seconds);
  const mean = allSeconds(took) / took.length;
  const cpu = took.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0) / took.length;
  return [name, mean, Math.min(...each), Math.max(...each), containers / mean, (cpu * 1_000) / containers];
}

function burstTable(bursts: readonly Burst[]): Table {
  const rows = waysOf(bursts).map(([people, warm]) => {
    const { leasedMs, servedMs } = together(bursts, people, warm);
    return [
      wayName(people, warm),
      seconds(leasedMs, 50),
      seconds(servedMs, 1),
      seconds(servedMs, 50),
      seconds(servedMs, 90),
      seconds(servedMs, 100),
    ];
  });
  return {
    title: 'Many users come at once and each calls one tool: seconds from the arrival',
    head: ['', 'sandbox p50', 'first served', 'half', '90 %', 'all served'],
    rows,
  };
}

function seconds(values: readonly number[], p: number): number {
  return percentile(values, p) / 1_000;
}

function burstPlots(bursts: readonly Burst[]): Plot[] {
  const sizes = [...new Set(bursts.map(({ people }) => people))];
  return sizes.map((people) => ({
    title: `${people} users come at once`,
    x: 'seconds',
    y: 'users served',
    lines: waysOf(bursts)
      .filter(([count]) => count === people)
      .map(([, warm]) => {
        // Of the first round: one curve is one burst.
        const served = bursts.find((burst) => burst.people === people && burst.warm === warm)?.servedMs ?? [];
        const points = served.map((ms, index): [number, number] => [ms / 1_000, index + 1]);
        return { name: poolName(warm), points };
      }),
  }));
}

function toolCallTable({ bare, thread, free, asked }: ToolCallTimes): Table {
  const row = (name: string, ms: readonly number[]): (string | number)[] => [
    name,
    percentile(ms, 50),
    percentile(ms, 99),
    median(ms) / median(bare),
  ];
  return {
    title: 'read_file of a few bytes: ms',
    head: ['', 'p50', 'p99', 'relative to bare'],
    rows: [
      row('written to the attached stream, answer read', bare),
      row('through the docker thread', thread),
      row('client: tool:start to tool:result', free),
      row('client: the user’s approval to tool:result', asked),
    ],
  };
}

function doubtsOf({ leases, refill, bursts }: PoolFigures): string[] {
  const doubts: string[] = [];
  const count = leases.oneAtATime.leaseMs.length;
  if (count < FEW) doubts.push(`the lease's p99 is the slowest of ${count}: the long form has more`);
  for (const [name, took] of [
    ['bare loop', refill.bare],
    ['pool', refill.pool],
  ] as const) {
    const each = took.map(({ seconds: one }) => one);
    const [least, most] = [Math.min(...each), Math.max(...each)];
    if (most <= least * WIDE) continue;
    doubts.push(`refill, ${name}: its rounds took from ${least.toFixed(2)} to ${most.toFixed(2)} s`);
  }
  for (const { people, warm, loop } of bursts) {
    if (loop < BUSY_LOOP) continue;
    const busy = `${Math.round(loop * 100)} %`;
    doubts.push(`${wayName(people, warm)}: the event loop of the simulated users was busy for ${busy} of the time`);
  }
  return doubts;
}

/** Every kind of burst, in the order in which they ran. */
function waysOf(bursts: readonly Burst[]): [people: number, warm: number | undefined][] {
  const ways = new Map(bursts.map(({ people, warm }) => [wayName(people, warm), [people, warm] as const]));
  return [...ways.values()].map(([people, warm]) => [people, warm]);
}

/** All rounds of one kind. */
function together(bursts: readonly Burst[], people: number, warm: number | undefined) {
  const same = bursts.filter((burst) => burst.people === people && burst.warm === warm);
  return {
    servedMs: same.flatMap(({ servedMs }) => servedMs),
    leasedMs: same.flatMap(({ leasedMs }) => leasedMs),
  };
}

function wayName(people: number, warm: number | undefined): string {
  return `${people} users, ${poolName(warm)}`;
}

function poolName(warm: number | undefined): string {
  return warm === undefined ? 'a container made for each' : `${warm} warm`;
}
