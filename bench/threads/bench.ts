/** The bench `threads`: what more agent threads bring, and what one bad session takes from its neighbours. */
import type { Bench, Findings } from '../suite/bench.js';
import { neighbourDoubts, neighbourRatios, neighbourTables } from './neighbour-findings.js';
import { measureNeighbours, type NeighbourOptions } from './neighbours.js';
import { KINDS, measureScale, scaleDoubts, scalePlot, scaleRatios, scaleTables, type ScaleOptions } from './scale.js';
import { Opened, openWorld, type Server, type World } from './world.js';
import { orInterrupted } from '../shared/work.js';

const PEOPLE = 32;
const NEIGHBOURS = 20;
/** Neighbours live on the bad session's thread and on another one. */
const NEIGHBOUR_THREADS = 2;
/** Each agent thread compiles its own code: it takes some seconds of turns to reach full speed. */
const WARM_UP_MS = 8_000;

interface Form {
  threads: readonly number[];
  scale: ScaleOptions;
  neighbours: NeighbourOptions;
}

const RATES = { turnEveryMs: 200, pingEveryMs: 100 };
const SHORT: Form = {
  threads: [1, 2],
  scale: { rounds: 2, ms: 1_400, leadInMs: 200 },
  neighbours: {
    kinds: ['output', 'bare', 'frames', 'keys', 'deltas'],
    rounds: 2,
    bad: { ms: 2_000, leadInMs: 0, ...RATES },
    calm: { ms: 1_000, leadInMs: 200, ...RATES },
  },
};
const FULL: Form = {
  threads: [1, 2, 4],
  scale: { rounds: 5, ms: 4_000, leadInMs: 500 },
  neighbours: {
    kinds: ['output', 'bare', 'frames', 'keys', 'deltas'],
    rounds: 6,
    bad: { ms: 6_000, leadInMs: 0, ...RATES },
    calm: { ms: 3_000, leadInMs: 1_000, ...RATES },
  },
};

export const bench: Bench = {
  name: 'threads',
  question: 'What do more agent threads bring, and what does one bad session take from its neighbours?',
  run: async ({ full, signal, progress }) => {
    const form = full ? FULL : SHORT;
    const opened = new Opened(signal);
    const step = steps(form, progress);
    try {
      progress('starting servers, model and users');
      const world = await openWorld(form.threads, opened);
      return await orInterrupted(measure(world, form, step), signal);
    } finally {
      progress('cleaning up');
      await opened.close();
    }
  },
};

async function measure(world: World, form: Form, step: (doing: string) => void): Promise<Findings> {
  const { people, servers, doubts } = world;
  step('warming up');
  await Promise.all(servers.map((server) => warmUp(people, server)));
  const points = await measureScale(world, form.scale, step);

  const server = servers.find(({ threads }) => threads === NEIGHBOUR_THREADS);
  if (!server) throw new Error(`no server has ${NEIGHBOUR_THREADS} agent threads`);
  await people.ask('connect', { url: server.engine.wsUrl, people: NEIGHBOURS, threads: server.threads });
  const windows = await measureNeighbours(world, server, form.neighbours, step);

  return {
    settings: {
      people: PEOPLE,
      neighbours: NEIGHBOURS,
      neighbourThreads: server.threads,
      turnEveryMs: RATES.turnEveryMs,
      pingEveryMs: RATES.pingEveryMs,
      sandbox: 'docker',
      'CPUWeight of the server': world.weight ?? 'none',
      store: 'redis',
    },
    ratios: [...scaleRatios(points), ...neighbourRatios(windows)],
    tables: [...scaleTables(points), ...neighbourTables(windows)],
    plots: [scalePlot(points)],
    doubts: [...doubts, ...scaleDoubts(points), ...neighbourDoubts(windows)],
  };
}

async function warmUp(people: World['people'], { engine, threads }: Server): Promise<void> {
  const url = engine.wsUrl;
  await people.ask('connect', { url, people: PEOPLE, threads });
  for (const kind of KINDS) await people.ask('saturate', { url, kind, ms: WARM_UP_MS / KINDS.length, leadInMs: 0 });
}

/** Reports the current step and the share of steps done. */
function steps({ threads, scale, neighbours }: Form, progress: (doing: string, share?: number) => void) {
  const total = scale.rounds * threads.length * KINDS.length + neighbours.rounds * neighbours.kinds.length * 2;
  let done = 0;
  return (doing: string): void => progress(doing, done++ / total);
}
