/** The cost of one bad session for its neighbours: the same paced turns with and without it, alternating. Runs in the bench. */
import { watchCpu, type CpuUse } from './cpu.js';
import { loopDelays, mainDelay } from './loop-delays.js';
import type { BadDeeds, BadKind, Pace, Samples } from './messages.js';
import type { Server, World } from './world.js';

/** The agent thread of the bad session. */
export const BAD_THREAD = 0;

export const BAD_WORDS: Record<BadKind, string> = {
  output: '100 MB tool output',
  frames: '1 MB frames without end',
  keys: '1 MB frames of 100,000 keys',
  deltas: '10,000 deltas a second',
  bare: 'that output in a container without Fairlead',
};

export interface Window {
  /** Undefined without a bad session. */
  kind: BadKind | undefined;
  samples: Samples[];
  peopleUtilisation: number;
  modelUtilisation: number;
  mainDelayMs: number;
  cpu: CpuUse;
  deeds: BadDeeds | undefined;
}

export interface NeighbourOptions {
  kinds: readonly BadKind[];
  rounds: number;
  /** With each kind of bad session, and without: the latter has as many windows as all others together. */
  bad: Pace;
  calm: Pace;
}

export async function measureNeighbours(
  world: World,
  server: Server,
  { kinds, rounds, bad, calm }: NeighbourOptions,
  step: (doing: string) => void,
): Promise<Window[]> {
  const windows: Window[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const kind of kinds) {
      step('neighbours alone');
      windows.push(await measureWindow(world, server, undefined, calm));
      step(`neighbours and ${BAD_WORDS[kind]}`);
      windows.push(await besideBad(world, server, kind, bad));
    }
  }
  return windows;
}

async function besideBad(world: World, server: Server, kind: BadKind, pace: Pace): Promise<Window> {
  const { threads, engine } = server;
  await world.bad.ask('start', { kind, url: engine.wsUrl, threads, thread: BAD_THREAD });
  const window = await measureWindow(world, server, kind, pace);
  await world.bad.ask('stop', null);
  return window;
}

async function measureWindow(
  { model, people, bad }: World,
  { engine, redisPid }: Server,
  kind: BadKind | undefined,
  pace: Pace,
): Promise<Window> {
  await Promise.all([
    loopDelays(engine.url),
    model.ask('look', null),
    ...(kind === undefined ? [] : [bad.ask('deeds', null)]),
  ]);
  const beside = { model: model.pid, redis: redisPid, people: people.pid, bad: bad.pid };
  const used = await watchCpu(engine.pid, beside);
  const { samples, utilisation } = await people.ask('pace', { url: engine.wsUrl, ...pace });
  const [cpu, deeds, looked] = await Promise.all([
    used(),
    kind === undefined ? undefined : bad.ask('deeds', null),
    model.ask('look', null),
  ]);
  return {
    kind,
    samples,
    peopleUtilisation: utilisation,
    modelUtilisation: looked.utilisation,
    mainDelayMs: mainDelay(await loopDelays(engine.url)),
    cpu,
    deeds,
  };
}
