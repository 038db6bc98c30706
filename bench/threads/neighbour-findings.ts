/** The measured windows as ratios, tables and doubts. Pure. */
import type { Ratio, Table } from '../suite/bench.js';
import type { BadKind, Samples } from './messages.js';
import { BAD_THREAD, BAD_WORDS, type Window } from './neighbours.js';
import { MAX_ELSEWHERE, middle, percent } from './scale.js';
import { percentile } from '../shared/figures.js';

const MAX_TIMES = 2;
const FULL = 0.95;
/** Below this a p99 is the worst two or three. */
const MIN_SAMPLES = 300;

type Measure = 'firstMs' | 'turnMs' | 'pongMs';

/** The first token comes through the agent thread, the pong from the main thread alone. */
export function neighbourRatios(windows: readonly Window[]): Ratio[] {
  const measures: [Measure, id: string, string][] = [
    ['firstMs', 'first-token', 'first token'],
    ['pongMs', 'pong', 'pong'],
  ];
  return kindsOf(windows).flatMap((kind) =>
    measures.map(([measure, id, words]): Ratio => {
      const value = times(windows, kind, measure);
      const name = `Neighbours’ ${words} p99 beside ${BAD_WORDS[kind]}, relative to alone`;
      // Fairlead has no aim for what another program does to the machine; it is the reference.
      return {
        id: `${id}-${kind}`,
        name,
        value,
        unit: '×',
        better: 'lower',
        ...(kind === 'bare' ? {} : { aim: MAX_TIMES }),
      };
    }),
  );
}

export function neighbourTables(windows: readonly Window[]): Table[] {
  const kinds = [undefined, ...kindsOf(windows)];
  return [
    {
      title: 'Neighbours with short turns beside one bad session; ms. Same: on its agent thread; other: on another one',
      head: [
        '',
        'turns',
        'first p50',
        'first p99',
        'same p99',
        'other p99',
        'turn p99',
        'pong p50',
        'pong p99',
        'failed',
      ],
      rows: kinds.map((kind) => [
        rowName(kind),
        collect(windows, kind, 'turnMs').length,
        percentile(collect(windows, kind, 'firstMs'), 50),
        p99(windows, kind, 'firstMs'),
        percentile(
          collect(windows, kind, 'firstMs', (thread) => thread === BAD_THREAD),
          99,
        ),
        percentile(
          collect(windows, kind, 'firstMs', (thread) => thread !== BAD_THREAD),
          99,
        ),
        p99(windows, kind, 'turnMs'),
        percentile(collect(windows, kind, 'pongMs'), 50),
        p99(windows, kind, 'pongMs'),
        samplesOf(windows, kind).reduce((total, { failed }) => total + failed, 0),
      ]),
    },
    {
      title:
        'Meanwhile: loop delay in ms, processors in percent of one (waits: ready to run, and none was free), and what the bad one did',
      head: ['', 'main loop p99', 'main', 'main waits', 'server, all', 'model', 'bad', 'machine', 'done/s', 'MB/s'],
      rows: kinds.map((kind) => {
        const of = select(windows, kind);
        const share = (ms: (window: Window) => number): string =>
          percent(middle(of.map((window) => ms(window) / (window.cpu.seconds * 1_000))));
        const rate = (what: 'count' | 'megabytes'): number =>
          middle(of.map(({ deeds }) => (deeds ? deeds[what] / deeds.seconds : 0)));
        return [
          rowName(kind),
          middle(of.map(({ mainDelayMs }) => mainDelayMs)),
          share(({ cpu }) => cpu.mainMs),
          share(({ cpu }) => cpu.mainWaitedMs),
          share(({ cpu }) => cpu.serverMs),
          share(({ cpu }) => cpu.besideMs['model'] ?? 0),
          share(({ cpu }) => cpu.besideMs['bad'] ?? 0),
          percent(middle(of.map(({ cpu }) => cpu.machine))),
          rate('count'),
          rate('megabytes'),
        ];
      }),
    },
  ];
}

export function neighbourDoubts(windows: readonly Window[]): string[] {
  const doubts: string[] = [];
  const counts = [undefined, ...kindsOf(windows)].map((kind) => collect(windows, kind, 'firstMs').length);
  if (Math.min(...counts) < MIN_SAMPLES) {
    doubts.push(`the neighbours' p99 is of ${Math.min(...counts)} turns: the worst few decide it`);
  }
  const full = kindsOf(windows).filter((kind) => middle(select(windows, kind).map(({ cpu }) => cpu.machine)) >= FULL);
  if (full.length > 0) {
    const which = full.map((kind) => BAD_WORDS[kind]).join('; ');
    doubts.push(
      `the processors were full, so that neighbours waited for one as well as for Fairlead, beside: ${which}`,
    );
  }
  // With a container that prints, “elsewhere” includes it.
  const elsewhere = middle(
    windows.flatMap(({ kind, cpu }) => (kind === 'output' || kind === 'bare' ? [] : [cpu.elsewhere])),
  );
  if (elsewhere > MAX_ELSEWHERE) {
    doubts.push(`something else took ${percent(elsewhere)} of the processors while neighbours were measured`);
  }
  const people = Math.max(...windows.map(({ peopleUtilisation }) => peopleUtilisation));
  if (people > FULL)
    doubts.push(`the users' process was the limit: its event loop was busy for ${percent(people)} of the time`);
  const model = Math.max(...windows.map(({ modelUtilisation }) => modelUtilisation));
  if (model > FULL)
    doubts.push(`the stand-in model was the limit: its event loop was busy for ${percent(model)} of the time`);
  const [loud, bare] = [times(windows, 'output', 'pongMs'), times(windows, 'bare', 'pongMs')];
  if (loud > MAX_TIMES && Number.isFinite(bare)) {
    doubts.push(
      `beside ${BAD_WORDS.output} a pong's p99 is ${loud.toFixed(1)} × that of alone, and ${bare.toFixed(1)} × beside ${BAD_WORDS.bare}: the difference is Fairlead's, the rest is the machine's scheduler`,
    );
  }
  const problems = new Set(windows.flatMap(({ deeds }) => deeds?.problems ?? []));
  for (const problem of problems) doubts.push(`the bad session: ${problem}`);
  return doubts;
}

/** The p99 beside that kind, relative to alone; NaN where it was not measured. */
function times(windows: readonly Window[], kind: BadKind, measure: Measure): number {
  return p99(windows, kind, measure) / p99(windows, undefined, measure);
}

function rowName(kind: BadKind | undefined): string {
  return kind === undefined ? 'alone' : BAD_WORDS[kind];
}

/** In the order of their first windows. */
function kindsOf(windows: readonly Window[]): BadKind[] {
  return [...new Set(windows.flatMap(({ kind }) => kind ?? []))];
}

function select(windows: readonly Window[], kind: BadKind | undefined): Window[] {
  return windows.filter((window) => window.kind === kind);
}

function samplesOf(windows: readonly Window[], kind: BadKind | undefined): Samples[] {
  return select(windows, kind).flatMap(({ samples }) => samples);
}

function collect(
  windows: readonly Window[],
  kind: BadKind | undefined,
  measure: Measure,
  isWanted: (thread: number) => boolean = () => true,
): number[] {
  return samplesOf(windows, kind).flatMap((each) => (isWanted(each.thread) ? each[measure] : []));
}

function p99(windows: readonly Window[], kind: BadKind | undefined, measure: Measure): number {
  return percentile(collect(windows, kind, measure), 99);
}
