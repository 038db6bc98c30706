/**
 * How fast does the pool make containers, and how soon is a burst served, against a bare loop of dockerode?
 * Usage: node dist/bench/sandbox-refill.js [--containers 20] [--at-once 4] [--burst 60] [--rounds 5]; beside dockerd.
 * The bare loop creates, starts, attaches, greets and pings with the pool's own container options and as many at once;
 * both ways are taken in turn. Removals are not timed.
 */
import { parseArgs } from 'node:util';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLog } from '../src/log.js';
import { Archives } from '../workers/docker/archives.js';
import { DockerDriver } from '../workers/docker/docker-driver.js';
import { Sandboxes } from '../workers/docker/sandboxes.js';
import { BareContainers } from './bare-container.js';
import { machine } from './machine.js';
import { benchConfig, inParallel, median, orInterrupted, table, times, untilInterrupted } from './report.js';
import { Shelf, type HeldSandbox } from './shelf.js';

const { values } = parseArgs({
  options: {
    containers: { type: 'string', default: '20' },
    'at-once': { type: 'string', default: '4' },
    burst: { type: 'string', default: '60' },
    rounds: { type: 'string', default: '5' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(`Usage: node dist/bench/sandbox-refill.js [options]; beside dockerd

  --containers N  from an empty shelf to so many (20); 0 = only the burst
  --at-once N     sandbox.pool.maxStarting, and what the bare loop has under way (4)
  --burst N       sessions that each call one tool at once, 10 sandboxes warm (60); 0 = only the refill
  --rounds N      of each (5)`);
  process.exit(0);
}
const LOOK_MS = 10;
const BURST_WARM = 10;
const containers = Number(values.containers);
const atOnce = Number(values['at-once']);
const burst = Number(values.burst);
const rounds = Number(values.rounds);

interface Took {
  seconds: number;
  /** Of this process. */
  cpuSeconds: number;
}

const stopping = untilInterrupted();
const folder = await mkdtemp(join(tmpdir(), 'fl-bench-'));
const log = createLog('bench', 'warn');
const bares = new BareContainers(benchConfig(folder, {}), `bench-${randomUUID()}`);

async function timed(work: () => Promise<void>): Promise<Took> {
  const [cpu, before] = [process.cpuUsage(), performance.now()];
  await work();
  const seconds = (performance.now() - before) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  return { seconds, cpuSeconds: (user + system) / 1e6 };
}

async function bareLoop(total: number, each: 'ping' | 'call'): Promise<Took> {
  const took = await timed(() =>
    inParallel(total, atOnce, async () => {
      stopping.throwIfAborted();
      const container = await bares.make();
      await container.greet();
      await (each === 'ping' ? container.request('ping', {}) : container.call());
    }),
  );
  await bares.removeAll();
  return took;
}

/** The pool as the docker thread has it, in this thread, so that both ways have the same. */
async function fillShelf(): Promise<Took> {
  const pool = { min: containers, max: containers, maxStarting: atOnce };
  const config = benchConfig(folder, { pool });
  const instance = `bench-${randomUUID()}`;
  const driver = new DockerDriver(config, instance, log);
  const archives = new Archives({ folder: join(folder, 'workspaces'), maxBytes: 1, timeoutMs: 1_000, log });
  const sandboxes = new Sandboxes({ config, instance, driver, archives, log });
  try {
    return await timed(async () => {
      sandboxes.open();
      while (sandboxes.count('warm') < containers) await sleep(LOOK_MS, undefined, { signal: stopping });
    });
  } finally {
    await sandboxes.close();
  }
}

async function burstOnShelf(): Promise<Took> {
  const shelf = await Shelf.open({ pool: { min: BURST_WARM, maxStarting: atOnce, maxWaiting: Math.max(1, burst) } });
  const serve = async (): Promise<void> => {
    const sandbox: HeldSandbox = await shelf.lease();
    await sandbox.call();
  };
  try {
    await shelf.full(BURST_WARM, stopping);
    const all = timed(async () => {
      await Promise.all(Array.from({ length: burst }, serve));
    });
    return await orInterrupted(all, stopping);
  } finally {
    await shelf.close();
  }
}

async function compare(title: string, count: number, bare: () => Promise<Took>, pool: () => Promise<Took>) {
  const took = { bare: [] as Took[], pool: [] as Took[] };
  for (let round = 0; round < rounds; round++) {
    // The second of a pair finds the daemon busy with the first one's removals: each is second as often as the other.
    const order = [['bare', bare] as const, ['pool', pool] as const];
    for (const [name, run] of round % 2 === 0 ? order : order.toReversed()) took[name].push(await run());
  }
  const seconds = (name: 'bare' | 'pool'): number => median(took[name].map((one) => one.seconds));
  const row = (words: string, name: 'bare' | 'pool'): string[] => [
    words,
    seconds(name).toFixed(2),
    (count / seconds(name)).toFixed(2),
    times(seconds('bare') / seconds(name)),
    (median(took[name].map((one) => one.cpuSeconds)) * (1_000 / count)).toFixed(1),
  ];
  const paired = median(took.bare.map(({ seconds: one }, index) => one / (took.pool[index]?.seconds ?? Number.NaN)));
  const head = [title, 's', 'a second', 'speed', 'our CPU each, ms'];
  console.log(`\n${table(head, [row('bare loop', 'bare'), row('pool', 'pool')])}`);
  const list = (name: 'bare' | 'pool'): string => took[name].map((one) => one.seconds.toFixed(2)).join(' ');
  console.log(`\nrounds, s: bare ${list('bare')}; pool ${list('pool')}; median of the pairs ${times(paired)}`);
}

try {
  console.log(machine());
  console.log(`${rounds} rounds in turn, ${atOnce} under way; medians`);
  // The first start after a while pays for what the kernel and the daemon have dropped.
  await bareLoop(atOnce, 'ping');
  if (containers > 0) {
    await compare(`empty shelf to ${containers}`, containers, () => bareLoop(containers, 'ping'), fillShelf);
  }
  if (burst > 0) {
    await compare(`${burst} at once, ${BURST_WARM} warm`, burst, () => bareLoop(burst, 'call'), burstOnShelf);
  }
} finally {
  await bares.removeAll();
  await rm(folder, { recursive: true, force: true });
}
