/** The three servers, each with what it needs, and which processes and containers are its own. */
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { containersOf, docker, dockerHost } from '../../test/helpers/docker.js';
import { startEngine } from '../../test/helpers/engine.js';
import { fetchMetrics } from '../../test/helpers/metrics.js';
import { installOnDemand } from '../../test/helpers/on-demand.js';
import { startRedis } from '../../test/helpers/redis.js';
import { inParallel } from '../shared/work.js';
import { COLLECTABLE, collectGarbage } from '../suite/collect.js';
import { ContractChild } from '../threads/child.js';
import { heldBy, type Held } from './memory.js';
import type { ServerContract, WayName } from './messages.js';

export const AGENT_SDK = { '@anthropic-ai/claude-agent-sdk': '0.3.332' };

export const NAMES: Record<WayName, string> = {
  fairlead: 'Fairlead',
  'agent-sdk': 'the Claude Agent SDK',
  'socket.io': 'Socket.IO and a container each',
};

/** Containers that wait in Fairlead's warm pool: the product's default. */
export const WARM = 10;
/** All people are the user `local`. */
const MAX_SOCKETS = 100_000;
const LOOK_MS = 200;
/** Hundreds of containers are removed, a few a second. */
const FILL_MS = 600_000;
const REMOVALS_AT_ONCE = 10;

export interface Way {
  name: WayName;
  url: string;
  /** Servers' garbage is collected before; what they have started is left alone. */
  held: () => Promise<Held>;
  /** Until its warm pool is full, where it has one. */
  ready: (signal: AbortSignal) => Promise<void>;
  /** Until nothing is left of people who have gone. */
  empty: (signal: AbortSignal) => Promise<void>;
  stop: () => Promise<void>;
}

export interface WayOptions {
  modelUrl: string;
  log: (line: string) => void;
}

export const STARTS: Record<WayName, (options: WayOptions) => Promise<Way>> = {
  fairlead: startFairlead,
  'agent-sdk': (options) => startOther('agent-sdk', 'agent-sdk-main.js', options),
  'socket.io': (options) => startOther('socket.io', 'socketio-main.js', options),
};

async function startFairlead({ modelUrl }: WayOptions): Promise<Way> {
  const redis = await startRedis();
  try {
    const engine = await startEngine({
      config: {
        limits: { maxSocketsPerUser: MAX_SOCKETS, maxReadsPerSecond: 0 },
        sandbox: { driver: 'docker', pool: { min: WARM, max: 100 } },
        approvals: { rules: [{ server: 'workspace', tool: 'list_files', action: 'allow' }] },
      },
      env: {
        REDIS_URL: redis.url,
        DOCKER_HOST: dockerHost(),
        ANTHROPIC_API_KEY: 'bench',
        ANTHROPIC_BASE_URL: modelUrl,
        NODE_OPTIONS: COLLECTABLE,
      },
    });
    const instance = await engine.instance();
    let collections = 0;
    const collect = async (): Promise<void> => {
      const count = ++collections;
      collectGarbage(engine.pid);
      await engine.waitForLog((line) => line.msg === 'collected' && line['count'] === count);
    };
    return {
      name: 'fairlead',
      url: engine.wsUrl,
      held: async () => {
        await collect();
        return await heldBy([engine.pid, redis.pid], instance);
      },
      ready: (signal) => poolFull(engine.url, signal),
      empty: (signal) => poolFull(engine.url, signal, 0),
      stop: async () => {
        await engine.stop();
        await redis.stop();
      },
    };
  } catch (error) {
    await redis.stop();
    throw error;
  }
}

/** The server does not announce a full pool, nor that a sandbox is gone. */
async function poolFull(url: string, signal: AbortSignal, leased = Number.POSITIVE_INFINITY): Promise<void> {
  await poll(`there are no ${WARM} warm containers`, signal, async () => {
    const lines = (await fetchMetrics(url, signal))
      .split('\n')
      .filter((line) => line.startsWith('fairlead_sandboxes{'));
    const count = (state: string): number =>
      lines
        .filter((line) => line.includes(`state="${state}"`))
        .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    return count('warm') >= WARM && count('starting') + count('draining') === 0 && count('leased') <= leased;
  });
}

async function poll(late: string, signal: AbortSignal, holds: () => Promise<boolean>): Promise<void> {
  const until = performance.now() + FILL_MS;
  while (!(await holds())) {
    if (performance.now() > until) throw new Error(`${late} after ${FILL_MS} ms`);
    await pause(LOOK_MS, undefined, { signal });
  }
}

/** Removes the containers that a server left: after a Ctrl-C it has no time to remove hundreds. */
async function removeContainers(instance: string): Promise<void> {
  const left = await containersOf(`fairlead.instance=${instance}`);
  await inParallel(left.length, REMOVALS_AT_ONCE, async (index) => {
    const id = left[index]?.id ?? '';
    await docker()
      .getContainer(id)
      .remove({ force: true, v: true })
      .catch((error: { statusCode?: number }) => {
        if (error.statusCode !== 404 && error.statusCode !== 409) throw error; // gone, and going
      });
  });
}

async function startOther(name: WayName, program: string, { modelUrl, log }: WayOptions): Promise<Way> {
  const sdk = name === 'agent-sdk' ? await installOnDemand({ packages: AGENT_SDK, log }) : '';
  const folder = await mkdtemp(join(tmpdir(), 'fl-alternatives-'));
  await mkdir(join(folder, 'people'));
  const instance = `bench-${randomUUID()}`;
  const server = new ContractChild<ServerContract>(NAMES[name], new URL(program, import.meta.url));
  const stop = async (): Promise<void> => {
    await server.stop();
    await removeContainers(instance);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const { url } = await server.ask('open', { modelUrl, folder: join(folder, 'people'), sdk, instance });
    const look = (): Promise<Held> => heldBy([server.pid], instance);
    const { count } = await look();
    return {
      name,
      url,
      held: async () => {
        await server.ask('collect', null);
        return await look();
      },
      ready: () => Promise.resolve(),
      empty: (signal) =>
        poll(`processes of ${NAMES[name]} are left`, signal, async () => (await look()).count <= count),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
