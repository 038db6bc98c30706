/** A process whose memory is measured: Fairlead or the bare server, with the preload that collects garbage on demand. */
import { spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startEngine, type Engine } from '../../test/helpers/engine.js';
import { eachLine, stopChild, watchExit, within } from '../../test/helpers/processes.js';
import { COLLECTABLE, collectGarbage, type Collected, type ThreadHeap } from '../suite/collect.js';
import { residentBytes } from './proc.js';

const PRELOAD = { NODE_OPTIONS: COLLECTABLE };
const BARE = fileURLToPath(new URL('bare-uws-main.js', import.meta.url));
const COLLECT_MS = 30_000;
/** Looks until two are the same: freed pages go back to the kernel a moment after a collection. */
const LOOK_EVERY_MS = 150;
const LOOKS = 12;
const SAME = 0.0005;

/** In bytes. */
export interface ProcessMemory {
  /** VmRSS after a collection in every thread. */
  rss: number;
  /** The part that is mapped from files. */
  mapped: number;
  heap: number;
  external: number;
  threads: ThreadHeap[];
}

export interface Measured {
  readonly pid: number;
  readonly wsUrl: string;
  memory: (signal: AbortSignal) => Promise<ProcessMemory>;
  stop: () => Promise<unknown>;
}

export interface MeasuredEngine extends Measured {
  readonly engine: Engine;
}

export async function startMeasuredEngine(
  config: Record<string, unknown>,
  env: Record<string, string>,
): Promise<MeasuredEngine> {
  const engine = await startEngine({ config, env: { ...env, ...PRELOAD } });
  const collected = async (count: number): Promise<Collected> => {
    const line = await engine.waitForLog((said) => said.msg === 'collected' && said['count'] === count, COLLECT_MS);
    return line as unknown as Collected;
  };
  return {
    engine,
    pid: engine.pid,
    wsUrl: engine.wsUrl,
    memory: memoryOf(engine.pid, collected),
    stop: () => engine.stop(),
  };
}

export async function startBare(): Promise<Measured> {
  const child = spawn(process.execPath, [BARE], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...PRELOAD },
  });
  const exited = watchExit(child);
  const waiting = new Map<string, (line: object) => void>();
  const line = (name: string): Promise<object> => {
    const came = new Promise<object>((resolve) => waiting.set(name, resolve));
    const gone = exited.then((): never => {
      throw new Error('the bare server has ended');
    });
    return within(Promise.race([came, gone]), COLLECT_MS, () => `the bare server did not say ${name}`);
  };
  eachLine(child.stdout, (text) => {
    const said = JSON.parse(text) as { msg: string; count?: number };
    waiting.get(`${said.msg}${said.count ?? ''}`)?.(said);
  });
  const stop = (): Promise<unknown> => stopChild(child, exited);
  try {
    const { url } = (await line('listening')) as { url: string };
    const pid = child.pid ?? 0;
    const collected = async (count: number): Promise<Collected> => (await line(`collected${count}`)) as Collected;
    return { pid, wsUrl: url, memory: memoryOf(pid, collected), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function memoryOf(pid: number, collected: (count: number) => Promise<Collected>): Measured['memory'] {
  let count = 0;
  return async (signal) => {
    signal.throwIfAborted();
    const answer = collected(++count);
    collectGarbage(pid);
    const { threads } = await answer;
    const { rss, mapped } = await settled(pid, signal);
    const sum = (of: 'heap' | 'external'): number => threads.reduce((total, thread) => total + thread[of], 0);
    return { rss, mapped, heap: sum('heap'), external: sum('external'), threads };
  };
}

async function settled(pid: number, signal: AbortSignal): Promise<{ rss: number; mapped: number }> {
  let last = await residentBytes(pid);
  for (let look = 0; look < LOOKS; look++) {
    await pause(LOOK_EVERY_MS, undefined, { signal });
    const now = await residentBytes(pid);
    if (Math.abs(now.rss - last.rss) <= last.rss * SAME) return now;
    last = now;
  }
  return last; // sessions in turns keep it moving: the last look counts
}
