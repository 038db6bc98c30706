/** The run's ratios, tables, plots and doubts. Pure. */
import { percentile } from '../shared/figures.js';
import type { Findings, Plot, Ratio, Table } from '../suite/bench.js';
import type { Measured, Step } from './measure.js';
import type { Times, WayName } from './messages.js';
import { MODEL_DELAY_MS } from './script.js';
import { NAMES } from './ways.js';

const MIB = 1_048_576;
const KIB = 1_024;
/** With fewer turns a p99 is the slowest one. */
const FEW_TURNS = 100;
/** Fairlead's default, `limits.maxConnections`: memory is not what limits people who wait. */
const MOST_SOCKETS = 100_000;
/** Less is within the noise of a server's heap. */
const LEAST_BYTES = KIB;

export function toFindings(ways: readonly Measured[]): Omit<Findings, 'settings'> {
  const fairlead = ways.find(({ name }) => name === 'fairlead');
  const others = ways.filter(({ name }) => name !== 'fairlead');
  return {
    ratios: fairlead ? [...ownRatios(fairlead), ...others.flatMap((other) => ratiosTo(fairlead, other))] : [],
    tables: [memoryTable(ways), arrivalTable(ways), turnTable(ways)],
    plots: [memoryPlot(ways), firstTokenPlot(ways)],
    doubts: ways.flatMap(doubtsOf),
  };
}

/** Bytes of a person who only talks; never 0, since people divide by it. */
export function idleBytes({ memory }: Measured): number {
  return Math.max(LEAST_BYTES, memory.idle);
}

function turnBytes({ memory }: Measured): number {
  return Math.max(LEAST_BYTES, memory.inTurn);
}

function ownRatios(fairlead: Measured): Ratio[] {
  const { tool, memory } = fairlead;
  return [
    lower(
      'idle',
      `Memory of a person who talks, between turns (${memory.people} people)`,
      idleBytes(fairlead) / KIB,
      'KiB',
    ),
    lower('turn', `… in a turn`, turnBytes(fairlead) / KIB, 'KiB'),
    lower('tool', `… who has used a tool, with a sandbox`, tool.idle / MIB, 'MiB'),
  ];
}

function ratiosTo(fairlead: Measured, other: Measured): Ratio[] {
  const to = `relative to ${NAMES[other.name]}`;
  const id = other.name.replace('.', '-');
  const few = fairlead.steps.find(({ people }) => people === 10);
  const theirs = other.steps.find(({ people }) => people === 10);
  return [
    higher(
      `${id}-idle`,
      `People between turns in the memory of one with ${NAMES[other.name]}`,
      idleBytes(other) / idleBytes(fairlead),
      'people',
    ),
    higher(
      `${id}-turn`,
      `People in a turn in the memory of one with ${NAMES[other.name]}`,
      turnBytes(other) / turnBytes(fairlead),
      'people',
    ),
    lower(`${id}-tool`, `Memory of a person who has used a tool, ${to}`, fairlead.tool.idle / other.tool.idle, '×'),
    ...(few && theirs
      ? [
          lower(
            `${id}-arrival`,
            `10 people come at once: until half have a first answer, ${to}`,
            p50(few.arrivals) / p50(theirs.arrivals),
            '×',
          ),
          lower(`${id}-first-p50`, `First token, 10 people, p50, ${to}`, p50(few.turns) / p50(theirs.turns), '×'),
          lower(`${id}-first-p99`, `First token, 10 people, p99, ${to}`, p99(few.turns) / p99(theirs.turns), '×'),
        ]
      : []),
    higher(
      `${id}-people`,
      `People who have used a tool until memory is full, by calculation, ${to}`,
      fairlead.free / fairlead.tool.idle / (other.free / other.tool.idle),
      '×',
    ),
  ];
}

function higher(id: string, name: string, value: number, unit: string): Ratio {
  return { id, name, value, unit, better: 'higher' };
}

function lower(id: string, name: string, value: number, unit: string): Ratio {
  return { id, name, value, unit, better: 'lower' };
}

function memoryTable(ways: readonly Measured[]): Table {
  return {
    title: 'Memory a person (proportional set size), and people until memory is full by calculation from it',
    head: [
      '',
      'people',
      'nobody there, MiB',
      'between turns, MiB',
      'in a turn, MiB',
      'after a tool, MiB',
      `people who talk, ${MOST_SOCKETS.toLocaleString('en')} at most`,
      'people who used a tool',
    ],
    rows: ways.map((way) => [
      NAMES[way.name],
      way.memory.people,
      way.empty.total / MIB,
      idleBytes(way) / MIB,
      way.memory.inTurn / MIB,
      way.tool.idle / MIB,
      Math.min(MOST_SOCKETS, Math.floor(way.free / idleBytes(way))),
      Math.floor(way.free / way.tool.idle),
    ]),
  };
}

function arrivalTable(ways: readonly Measured[]): Table {
  return {
    title: 'From the connect to the first answer',
    head: ['', 'people', 'first token p50, ms', 'p99', 'whole answer p50, ms', 'p99', 'failed'],
    rows: ways.flatMap((way) => [
      ...way.steps.map(({ people, arrivals }) => arrivalRow(way, String(people), arrivals)),
      arrivalRow(way, `${way.tool.people}, with a tool`, way.tool.arrivals),
    ]),
  };
}

function arrivalRow({ name }: Measured, people: string, times: readonly Times[]): (string | number)[] {
  const whole = turnsOf(times);
  return [NAMES[name], people, p50(times), p99(times), percentile(whole, 50), percentile(whole, 99), failed(times)];
}

function turnTable(ways: readonly Measured[]): Table {
  return {
    title: `First token of later turns (the model's own: ${MODEL_DELAY_MS} ms)`,
    head: ['', 'people', 'turns', 'p50, ms', 'p99, ms', 'failed'],
    rows: ways.flatMap((way) =>
      way.steps.map(({ people, turns }) => [
        NAMES[way.name],
        people,
        turns.length,
        p50(turns),
        p99(turns),
        failed(turns),
      ]),
    ),
  };
}

function memoryPlot(ways: readonly Measured[]): Plot {
  return {
    title: 'Memory of people who have used a tool, by calculation',
    x: 'people',
    y: 'MiB',
    scale: 'log',
    lines: ways.map((way) => ({
      name: NAMES[way.name],
      points: [1, 10, 100, 1_000].map((people) => [people, (way.empty.total + people * way.tool.idle) / MIB]),
    })),
  };
}

function firstTokenPlot(ways: readonly Measured[]): Plot {
  return {
    title: 'Time to the first token of later turns',
    x: 'people',
    y: 'ms',
    scale: 'log',
    lines: ways.flatMap((way) => [
      { name: `${NAMES[way.name]}, p50`, points: pointsOf(way, p50) },
      { name: `${NAMES[way.name]}, p99`, points: pointsOf(way, p99) },
    ]),
  };
}

function pointsOf({ steps }: Measured, p: (times: readonly Times[]) => number): [number, number][] {
  return steps.map(({ people, turns }) => [people, p(turns)]);
}

function doubtsOf(way: Measured): string[] {
  const name = NAMES[way.name];
  const all = [...way.steps.flatMap(({ arrivals, turns }) => [...arrivals, ...turns]), ...way.tool.arrivals];
  const first = all.find(({ error }) => error !== undefined)?.error;
  const few = way.steps.find((step: Step) => step.turns.length < FEW_TURNS);
  return [
    ...(first === undefined ? [] : [`${name}: ${failed(all)} of ${all.length} turns failed, the first with: ${first}`]),
    ...(way.heldFailed > 0 ? [`${name}: ${way.heldFailed} turns failed while all people were in one`] : []),
    ...(few ? [`${name}: ${few.turns.length} turns of ${few.people} people, so their p99 is the slowest one`] : []),
    ...(way.memory.idle < LEAST_BYTES
      ? [`${name}: a person between turns costs less than can be told from noise`]
      : []),
    ...(way.bound === 'memory' ? [`${name}: memory allowed ${way.memory.people} people and no more`] : []),
  ];
}

function firsts(times: readonly Times[]): number[] {
  return times.flatMap(({ firstMs, error }) => (error === undefined ? [firstMs] : []));
}

function turnsOf(times: readonly Times[]): number[] {
  return times.flatMap(({ turnMs, error }) => (error === undefined ? [turnMs] : []));
}

const p50 = (times: readonly Times[]): number => percentile(firsts(times), 50);
const p99 = (times: readonly Times[]): number => percentile(firsts(times), 99);
const failed = (times: readonly Times[]): number => times.filter(({ error }) => error !== undefined).length;

/** For the settings. */
export const wayNames = (ways: readonly WayName[]): string => ways.map((name) => NAMES[name]).join(', ');
