/** The bench `sockets`: attaches, idle sessions, frames and deltas a second, slow readers; compared with bare uWebSockets.js, ws and socket.io. */
import { startRedis } from '../../test/helpers/redis.js';
import { Load } from '../load/load.js';
import type { Bench, BenchContext, Findings } from '../suite/bench.js';
import { startChild } from './child.js';
import { Audience, type Rate, type Shape } from './deltas-part.js';
import { findings } from './findings.js';
import { formOf, type Form } from './form.js';
import { measureFrames } from './frames-part.js';
import { measureIdle } from './idle-part.js';
import type { Measured } from './measured.js';
import { Pins } from './proc.js';
import { startEcho, startFairlead, type EchoServer, type Fairlead } from './servers.js';
import { measureSlow } from './slow-part.js';
import { ECHO_KINDS, NAMES } from './wire.js';
import { orInterrupted } from '../shared/work.js';

export const bench: Bench = {
  name: 'sockets',
  question: 'What do attaches, idle sessions, frames and streamed deltas cost, beside a bare WebSocket server?',
  run,
};

/** What the parts share. */
interface Run {
  form: Form;
  load: Load;
  pins: Pins;
  fairlead: Fairlead;
  echoes: EchoServer[];
  signal: AbortSignal;
  step: (doing: string) => void;
}

async function run({ full, signal, progress }: BenchContext): Promise<Findings> {
  const form = await formOf(full);
  const began = performance.now();
  const step = (doing: string): void => {
    signal.throwIfAborted();
    progress(doing, Math.min(0.99, (performance.now() - began) / form.expectedMs));
  };
  const stops: (() => Promise<void>)[] = [];
  const kept = <T extends { stop(): Promise<void> }>(started: T): T => {
    stops.push(() => started.stop());
    return started;
  };
  const pins = new Pins();
  try {
    step('starting Fairlead and the bare servers');
    const redis = kept(await startRedis());
    const model = kept(await startChild('model-main.js'));
    const sockets = form.idle.sockets;
    const fairlead = kept(await startFairlead({ redisUrl: redis.url, modelUrl: model.url, sockets }));
    const echoes: EchoServer[] = [];
    for (const kind of ECHO_KINDS) echoes.push(kept(await startEcho(kind)));
    const load = new Load();
    stops.push(() => load.end());
    const parts: Run = { form, load, pins, fairlead, echoes, signal, step };
    const measured: Measured = {
      form,
      pinned: pins.possible,
      // Memory first: later parts leave garbage and compiled code.
      idle: await idle(parts),
      ...(await frames(parts)),
      ...(await deltas(parts)),
      slow: await orInterrupted(measureSlow({ ...form.slow, load, server: fairlead, signal, step }), signal),
    };
    return findings(measured);
  } finally {
    pins.free();
    await stopAll(stops);
  }
}

async function idle({ form, load, fairlead, echoes, signal, step }: Run): Promise<Measured['idle']> {
  const costs: Measured['idle'] = [];
  for (const server of [fairlead, ...echoes]) {
    if (server.kind === 'uws-json') continue; // differs only in what it does with a frame
    step(`${form.idle.sockets} idle sockets: ${server.name}`);
    costs.push(await orInterrupted(measureIdle({ ...form.idle, load, server, signal }), signal));
  }
  return costs;
}

async function frames({
  form,
  load,
  pins,
  fairlead,
  echoes,
  signal,
  step,
}: Run): Promise<Pick<Measured, 'proof' | 'frames'>> {
  const common = { ...form.frames, load, signal, step };
  pins.generator();
  for (const { pid } of [fairlead, ...echoes]) pins.server(pid);
  const bare = echoes.filter(({ kind }) => kind === 'uws');
  const proof = await orInterrupted(measureFrames({ ...common, ...form.proof, servers: bare }), signal);
  const all = await orInterrupted(measureFrames({ ...common, servers: [fairlead, ...echoes] }), signal);
  return { proof, frames: all };
}

async function deltas(run: Run): Promise<Pick<Measured, 'deltas' | 'shapes'>> {
  const { form, load, pins, fairlead, echoes, signal, step } = run;
  const { shape, rounds, others } = form.deltas;
  // Bare servers stay on their processor; of Fairlead, only the thread with the sockets does.
  pins.free(fairlead.pid);
  pins.serverMainThread(fairlead.pid);
  const sides: { name: string; audience: Audience; rates: Rate[] }[] = [];
  sides.push({ name: NAMES.fairlead, audience: await Audience.ofFairlead(load, fairlead, shape), rates: [] });
  for (const echo of echoes) {
    if (echo.kind === 'uws-json') continue;
    sides.push({ name: echo.name, audience: await Audience.ofEcho(load, echo, shape), rates: [] });
  }
  for (let round = 0; round < rounds; round++) {
    for (const { name, audience, rates } of sides) {
      step(`deltas to ${shape.sessions * shape.clients} sockets: ${name}`);
      rates.push(await audience.run(signal));
    }
  }
  for (const { audience } of sides) await audience.leave();
  const shapes: Measured['shapes'] = [];
  for (const other of others) shapes.push({ shape: other, rate: await once(run, other) });
  pins.free(fairlead.pid);
  pins.free();
  return { deltas: sides.map(({ name, rates }) => ({ name, rates })), shapes };
}

async function once({ load, fairlead, signal, step }: Run, shape: Shape): Promise<Rate> {
  step(`deltas of ${shape.sessions} sessions to ${shape.clients} clients each`);
  const audience = await Audience.ofFairlead(load, fairlead, shape);
  const rate = await audience.run(signal);
  await audience.leave();
  return rate;
}

/** In reverse order of their start; a failure does not keep the others from ending. */
async function stopAll(stops: (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const stop of stops.toReversed()) {
    await stop().catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw new AggregateError(failures, `not all could be stopped: ${failures.join('; ')}`);
}
