/** Turns samples into ratios, tables and plots. Pure. */
import type { Plot, Ratio, Table } from '../suite/bench.js';
import { FAIRLEAD, type Group } from './groups.js';
import type { Measured, Memory, Row } from './measure.js';
import { COMPARED_AT, LATENCY_AT } from './plan.js';
import { cpuEach, rate } from './sample.js';
import { MODEL_PACE } from './turn-text.js';
import { percentile } from '../shared/figures.js';

/** With fewer answers the 99th percentile is the slowest one. */
export const MIN_FOR_P99 = 100;

const HEAD = [
  '',
  'requests/s',
  'p50 ms',
  'p99 ms',
  'max ms',
  'CPU µs each',
  'Redis µs each',
  'client busy %',
  'answers',
];

export function ratiosOf(rows: readonly Row[]): Ratio[] {
  return groupsIn(rows).flatMap((group) => {
    const at = (connections: number): Row[] =>
      rows.filter((row) => row.group === group && row.connections === connections);
    return [...rateRatios(group, at(COMPARED_AT)), ...(group.isTurn ? addedMs(group, at(LATENCY_AT)) : [])];
  });
}

export function tablesOf({ rows, memory }: Measured): Table[] {
  const tables = groupsIn(rows).map((group) => ({
    title: group.isTurn ? `${group.name}, by connections; ${MODEL_PACE}` : `${group.name}, by connections`,
    head: HEAD,
    rows: rows.filter((row) => row.group === group).map(cells),
  }));
  return [...tables, memoryTable(memory)];
}

export function plotsOf(rows: readonly Row[]): Plot[] {
  return groupsIn(rows).flatMap((group) => {
    const names = [...new Set(rows.filter((row) => row.group === group).map(({ name }) => name))];
    const line = (name: string, of: (row: Row) => number): [number, number][] =>
      rows.filter((row) => row.group === group && row.name === name).map((row) => [row.connections, of(row)]);
    return [
      {
        title: `${group.name}: requests a second`,
        x: 'connections',
        y: 'requests/s',
        scale: 'log' as const,
        lines: names.map((name) => ({ name, points: line(name, ({ all }) => rate(all)) })),
      },
      {
        title: `${group.name}: how long an answer takes`,
        x: 'connections',
        y: 'ms',
        scale: 'log' as const,
        lines: names.flatMap((name) =>
          [50, 99].flatMap((p) => {
            const points = line(name, ({ all }) => percentileOf(all.latencies, p)).filter(
              ([, ms]) => !Number.isNaN(ms),
            );
            return points.length > 0 ? [{ name: `${name}, p${p}`, points }] : [];
          }),
        ),
      },
    ];
  });
}

/** By the clock, and by the server's own CPU, which does not depend on the client's speed. */
function rateRatios(group: Group, rows: readonly Row[]): Ratio[] {
  const [ours, others] = split(rows);
  if (!ours) return [];
  return others.flatMap(({ name, all }) => [
    {
      id: `rate/${group.name}/${name}`,
      name: `${group.name}: requests per second, relative to ${name}`,
      value: rate(ours.all) / rate(all),
      unit: '×',
      better: 'higher',
    },
    {
      id: `cpu/${group.name}/${name}`,
      name: `${group.name}: requests per CPU second, relative to ${name}`,
      value: cpuEach(all) / cpuEach(ours.all),
      unit: '×',
      better: 'higher',
    },
  ]);
}

function addedMs(group: Group, rows: readonly Row[]): Ratio[] {
  const [ours, others] = split(rows);
  if (!ours) return [];
  return others.map(({ name, all }) => ({
    id: `added/${group.name}/${name}`,
    name: `${group.name}: time added to ${name}, p50`,
    value: percentile(ours.all.latencies, 50) - percentile(all.latencies, 50),
    unit: 'ms',
    better: 'lower',
  }));
}

function split(rows: readonly Row[]): [ours: Row | undefined, others: Row[]] {
  return [rows.find(({ name }) => name === FAIRLEAD), rows.filter(({ name }) => name !== FAIRLEAD)];
}

function cells({ name, connections, all }: Row): (string | number)[] {
  const { latencies, storeCpuMs, clientBusy } = all;
  const p99 = percentileOf(latencies, 99);
  return [
    `${name}, ${connections}`,
    rate(all),
    percentile(latencies, 50),
    Number.isNaN(p99) ? '—' : p99,
    percentile(latencies, 100),
    cpuEach(all),
    (storeCpuMs * 1_000) / latencies.length,
    clientBusy * 100,
    latencies.length,
  ];
}

/** NaN where there are too few. */
function percentileOf(latencies: readonly number[], p: number): number {
  return p >= 99 && latencies.length < MIN_FOR_P99 ? Number.NaN : percentile(latencies, p);
}

function memoryTable(memory: readonly Memory[]): Table {
  const rows = memory.map(({ after, mib, answers }, index) => [
    `after ${after}`,
    mib,
    mib - (memory[index - 1]?.mib ?? mib),
    answers,
  ]);
  return { title: 'Resident memory of Fairlead', head: ['', 'MiB', 'more MiB', 'answers since'], rows };
}

export function groupsIn(rows: readonly Row[]): Group[] {
  return [...new Set(rows.map(({ group }) => group))];
}
