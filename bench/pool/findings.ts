/** The figures of the pool bench as ratios, tables, plots and doubts. Pure. */
import { percentile } from '../machine.js';
import { median } from '../report.js';
import type { Findings, Plot, Ratio, Table } from '../suite/bench.js';
import type { Burst } from './burst.js';
import type { LeaseFigures, LeaseTimes } from './lease.js';
import type { RefillFigures, Took } from './refill.js';
import type { ToolCallTimes } from './tool-call.js';

/** Below it a p99 is the slowest of a few. */
const FEW = 100;
const BUSY_LOOP = 0.9;
/** Rounds of the same thing that differ by more. */
const WIDE = 1.25;

export interface PoolFigures {
  settings: Findings['settings'];
  /** On the shelf in the lease's part, and made in the refill's. */
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
    ms('lease from a warm shelf: p50', percentile(oneAtATime.leaseMs, 50), 1),
    ms('lease from a warm shelf: p99', percentile(oneAtATime.leaseMs, 99), 5),
    ms(`lease from a warm shelf, ${warm} at once: p99`, percentile(allAtOnce.leaseMs, 99), 25),
    {
      name: 'asked to first answer of a tool: warm shelf of a container made for it',
      value: firstAnswer(oneAtATime) / firstAnswer(bare),
      unit: '×',
      better: 'lower',
    },
  ];
}

function ms(name: string, value: number, aim: number): Ratio {
  return { name, value, unit: 'ms', better: 'lower', aim };
}

function firstAnswer({ leaseMs, callMs }: LeaseTimes): number {
  return median(leaseMs.map((ms, index) => ms + (callMs[index] ?? Number.NaN)));
}

function refillRatio({ refill }: PoolFigures): Ratio {
  // Of all rounds together: each way was as often the second of a pair.
  const value = allSeconds(refill.bare) / allSeconds(refill.pool);
  return { name: 'containers a second: pool of a bare loop', value, unit: '×', better: 'higher', aim: 0.95 };
}

function allSeconds(took: readonly Took[]): number {
  return took.reduce((sum, { seconds }) => sum + seconds, 0);
}

function burstRatios(bursts: readonly Burst[]): Ratio[] {
  const ratios: Ratio[] = [];
  for (const [people, shelf] of waysOf(bursts)) {
    if (shelf === undefined) continue;
    const ours = together(bursts, people, shelf);
    const theirs = together(bursts, people, undefined);
    const of = (words: string, p: number): Ratio => ({
      name: `${people} come at once, ${shelf} on the shelf: ${words} of a container made for each`,
      value: percentile(ours.servedMs, p) / percentile(theirs.servedMs, p),
      unit: '×',
      better: 'lower',
    });
    ratios.push(of('half served,', 50), of('all served,', 100));
  }
  return ratios;
}

function toolCallRatio({ toolCalls }: PoolFigures): Ratio {
  const value = median(toolCalls.free) / median(toolCalls.bare);
  return { name: 'tool call: tool:start to tool:result of the bare stream', value, unit: '×', better: 'lower', aim: 2 };
}

function leaseTable({ leases, warm }: PoolFigures): Table {
  return {
    title: 'A sandbox for one session: ms',
    head: ['', 'lease p50', 'p99', 'first call p50', 'p99', 'leases'],
    rows: [
      leaseRow('dockerode alone: created, attached, greeted', leases.bare),
      leaseRow('warm shelf, 1 at a time', leases.oneAtATime),
      leaseRow(`warm shelf, ${warm} at once`, leases.allAtOnce),
    ],
  };
}

function leaseRow(name: string, { leaseMs, callMs }: LeaseTimes): (string | number)[] {
  const figures = [leaseMs, callMs].flatMap((values) => [50, 99].map((p) => percentile(values, p)));
  return [name, ...figures, leaseMs.length];
}

function refillTable({ refill, containers }: PoolFigures): Table {
  return {
    title: `From an empty shelf to ${containers}; means of ${refill.bare.length} rounds`,
    head: ['', 's', 'least', 'most', 'a second', 'our CPU each, ms'],
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
  const rows = waysOf(bursts).map(([people, shelf]) => {
    const { leasedMs, servedMs } = together(bursts, people, shelf);
    return [
      wayName(people, shelf),
      seconds(leasedMs, 50),
      seconds(servedMs, 1),
      seconds(servedMs, 50),
      seconds(servedMs, 90),
      seconds(servedMs, 100),
    ];
  });
  return {
    title: 'People come at once, and each calls one tool: seconds from the arrival',
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
    title: `${people} come at once`,
    x: 'seconds',
    y: 'people served',
    lines: waysOf(bursts)
      .filter(([count]) => count === people)
      .map(([, shelf]) => {
        // The first round's: one curve is one burst.
        const served = bursts.find((burst) => burst.people === people && burst.shelf === shelf)?.servedMs ?? [];
        const points = served.map((ms, index): [number, number] => [ms / 1_000, index + 1]);
        return { name: shelfName(shelf), points };
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
    head: ['', 'p50', 'p99', 'of bare'],
    rows: [
      row('written to the attached stream, answer read', bare),
      row('through the docker thread', thread),
      row('client: tool:start to tool:result', free),
      row('client: a person’s yes to tool:result', asked),
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
  for (const { people, shelf, loop } of bursts) {
    if (loop < BUSY_LOOP) continue;
    const busy = `${Math.round(loop * 100)} %`;
    doubts.push(`${wayName(people, shelf)}: the event loop of those who came was busy for ${busy} of the time`);
  }
  return doubts;
}

/** Every kind of burst there was, in the order in which they came. */
function waysOf(bursts: readonly Burst[]): [people: number, shelf: number | undefined][] {
  const ways = new Map(bursts.map(({ people, shelf }) => [wayName(people, shelf), [people, shelf] as const]));
  return [...ways.values()].map(([people, shelf]) => [people, shelf]);
}

/** All rounds of one kind. */
function together(bursts: readonly Burst[], people: number, shelf: number | undefined) {
  const same = bursts.filter((burst) => burst.people === people && burst.shelf === shelf);
  return {
    servedMs: same.flatMap(({ servedMs }) => servedMs),
    leasedMs: same.flatMap(({ leasedMs }) => leasedMs),
  };
}

function wayName(people: number, shelf: number | undefined): string {
  return `${people} people, ${shelfName(shelf)}`;
}

function shelfName(shelf: number | undefined): string {
  return shelf === undefined ? 'a container made for each' : `${shelf} on the shelf`;
}
