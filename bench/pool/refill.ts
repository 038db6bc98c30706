/** How fast the pool makes containers, from an empty warm pool to a full one, compared with a bare loop of dockerode with the same concurrency. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createLog } from '../../src/shared/log.js';
import { Archives } from '../../workers/docker/archive/archives.js';
import { DockerDriver } from '../../workers/docker/driver/docker-driver.js';
import { SandboxManager } from '../../workers/docker/sandbox-manager.js';
import type { BareContainers } from '../shared/bare-container.js';
import { withHandshake } from './bare.js';
import { benchConfig, inParallel } from '../shared/work.js';

const LOOK_MS = 10;

export interface RefillOptions {
  bares: BareContainers;
  containers: number;
  atOnce: number;
  rounds: number;
  signal: AbortSignal;
  progress: (doing: string) => void;
}

export interface Took {
  seconds: number;
  /** CPU time of this process. */
  cpuSeconds: number;
}

export interface RefillFigures {
  bare: Took[];
  pool: Took[];
}

export async function measureRefill(options: RefillOptions): Promise<RefillFigures> {
  const { containers, atOnce, rounds, progress } = options;
  const took: RefillFigures = { bare: [], pool: [] };
  for (let round = 0; round < rounds; round++) {
    progress(`round ${round + 1} of ${rounds}: ${containers} containers, ${atOnce} under way`);
    // The second of a pair finds the daemon busy with the first one's removals, so the order alternates.
    const order = [['bare', bareLoop] as const, ['pool', fillPool] as const];
    for (const [name, way] of round % 2 === 0 ? order : order.toReversed()) took[name].push(await way(options));
  }
  return took;
}

/** Also warms up: the first start after a while pays for what the kernel and the daemon have dropped. */
export async function bareLoop({ bares, containers, atOnce, signal }: RefillOptions): Promise<Took> {
  try {
    return await timed(() =>
      inParallel(containers, atOnce, async () => {
        const container = await withHandshake(bares, signal);
        await container.request('ping', {});
      }),
    );
  } finally {
    await bares.removeAll();
  }
}

/** The docker thread's pool, run in this thread, so that both ways have the same processor. */
async function fillPool({ containers, atOnce, signal }: RefillOptions): Promise<Took> {
  const folder = await mkdtemp(join(tmpdir(), 'fl-bench-'));
  const log = createLog('bench', 'warn');
  const config = benchConfig(folder, { pool: { min: containers, max: containers, maxStarting: atOnce } });
  const instance = `bench-${randomUUID()}`;
  const driver = new DockerDriver(config, instance, log);
  const archives = new Archives({ folder: join(folder, 'workspaces'), maxBytes: 1, timeoutMs: 1_000, log });
  const sandboxes = new SandboxManager({ config, instance, driver, archives, log });
  try {
    return await timed(async () => {
      sandboxes.open();
      while (sandboxes.count('warm') < containers) await pause(LOOK_MS, undefined, { signal });
    });
  } finally {
    await sandboxes.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function timed(work: () => Promise<void>): Promise<Took> {
  const [cpu, before] = [process.cpuUsage(), performance.now()];
  await work();
  const seconds = (performance.now() - before) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  return { seconds, cpuSeconds: (user + system) / 1e6 };
}
