/**
 * Deaths: containers, dockerd, Fairlead and the host's power end while users write files and count them, once with Docker's
 * live-restore and once without. Each confirmed file is there in the end, or its session was told that it is lost. Runs in tests.
 */
import { docker } from '../../helpers/docker.js';
import { until } from '../../helpers/until.js';
import { processesOf } from '../processes.js';
import { pick } from '../random.js';
import { complaintsOf, countIn, type ChaosOptions, type ChaosReport } from '../report.js';
import { World } from '../world.js';
import { planDeaths, type Death } from './plan.js';
import { Writer, type WriterFigures } from './writer.js';

const WRITTEN_MS = 120_000;
const READ_MS = 120_000;
const CHECKPOINT_MS = 5_000;
/**
 * What `sandbox.checkpoint` promises here: `everyMs`, a quarter of it until the next look, an eighth where one was cut, and two
 * others and their rests before it in line, of 5 seconds together each.
 */
const PROMISED_MS = CHECKPOINT_MS * (1 + 1 / 4 + 1 / 8) + 10_000;
/** A machine that is busy delays each look and each save. */
const BUSY_TIMES = 2;
const EXPECTED = /^docker thread: (error|died)/;

const CONFIG = {
  listen: { drainTimeoutMs: 2_000 },
  // Users write without a pause, so their sandboxes are saved by checkpoints, and seldom hibernate.
  sandbox: {
    checkpoint: { everyMs: CHECKPOINT_MS },
    hibernateAfterMs: 1_500,
    leaseTimeoutMs: 40_000,
    startTimeoutMs: 20_000,
  },
};
const POOL = { min: 1, max: 4, maxStarting: 2, idleMs: 5_000 };

export interface DeathFigures extends WriterFigures {
  /** `oldestWorkMs` may be so much. */
  promisedMs: number;
  /** The aim of it all. */
  lostWithoutAWord: number;
}

export async function runDeaths(options: ChaosOptions): Promise<ChaosReport<DeathFigures>> {
  const began = performance.now();
  const plan = planDeaths(options.seed, options.events);
  const half = Math.ceil(plan.length / 2);
  const report: ChaosReport<DeathFigures> = {
    seed: options.seed,
    violations: [],
    events: {},
    figures: {
      confirmed: 0,
      toldLost: 0,
      losses: 0,
      oldestLostMs: 0,
      oldestWorkMs: 0,
      promisedMs: PROMISED_MS,
      lostWithoutAWord: 0,
    },
    complaints: [],
    seconds: 0,
  };
  for (const liveRestore of [false, true]) {
    const ends: (() => Promise<unknown>)[] = [];
    let ended: Promise<void> | undefined;
    const end = (): Promise<void> => (ended ??= tidy(ends));
    options.onTeardown(end);
    const world = await World.start({
      config: CONFIG,
      pools: { a: POOL },
      liveRestore,
      onTeardown: (each) => ends.push(each),
    });
    await die(world, liveRestore ? plan.slice(half) : plan.slice(0, half), options, report);
    await end();
  }
  const { oldestWorkMs } = report.figures;
  if (oldestWorkMs > BUSY_TIMES * PROMISED_MS)
    report.violations.push(`a death took ${oldestWorkMs} ms of work, and ${PROMISED_MS} are promised`);
  report.figures.lostWithoutAWord = report.violations.filter((text) => text.includes('without a word')).length;
  report.seconds = (performance.now() - began) / 1_000;
  return report;
}

async function die(
  world: World,
  plan: readonly Death[],
  { people, onProgress }: ChaosOptions,
  report: ChaosReport<DeathFigures>,
): Promise<void> {
  const writers = Array.from({ length: people }, () => new Writer(world));
  const runs = writers.map((writer) => writer.run());
  for (const [index, death] of plan.entries()) {
    try {
      await strike(world, writers, death);
    } catch (error) {
      report.violations.push(`${death.kind}: ${(error as Error).message}`);
      world.note(`! ${report.violations.at(-1)}`);
    }
    countIn(report.events, death.kind);
    onProgress?.(index + 1, plan.length);
  }
  for (const writer of writers) writer.stop();
  await Promise.all(runs);
  await world.ready();
  for (const writer of writers) {
    const read = async (): Promise<boolean> => (await writer.check()) && (await writer.check());
    await until(`${writer.session} reads its files`, read, { timeoutMs: READ_MS }).catch((error: Error) =>
      report.violations.push(error.message),
    );
    writer.finish();
    await writer.leave();
    report.violations.push(...writer.violations);
    for (const name of ['confirmed', 'toldLost', 'losses'] as const) report.figures[name] += writer.figures[name];
    for (const name of ['oldestLostMs', 'oldestWorkMs'] as const)
      report.figures[name] = Math.max(report.figures[name], writer.figures[name]);
  }
  const complaints = complaintsOf(world, EXPECTED);
  report.complaints.push(...complaints);
}

/** Strikes when the victim has written since the last death, so that there is something to lose. */
async function strike(world: World, writers: readonly Writer[], { kind, draw }: Death): Promise<void> {
  const victim = pick(writers, draw);
  if (!victim) return;
  const { confirmed } = victim;
  await until(`${victim.session} has written`, () => victim.confirmed > confirmed, { timeoutMs: WRITTEN_MS });
  world.note(`▼ ${kind} ${victim.session}`);
  switch (kind) {
    case 'stop-dockerd':
      return world.restartDockerd('SIGTERM');
    case 'kill-dockerd':
      return world.restartDockerd('SIGKILL');
    case 'kill-docker-thread':
      return world.strikeThread('die docker');
    case 'kill-server':
      return world.killServer();
    case 'stop-server':
      return world.stopServer();
    case 'power':
      return world.powerOff();
    default: {
      const id = world.sandboxesOf(victim.session).at(-1) ?? '';
      // Gone already, or on its way: then it dies by that.
      await strikeContainer(world, id, kind).catch((error: unknown) => world.note(`${kind}: ${String(error)}`));
    }
  }
}

async function strikeContainer(world: World, id: string, kind: Death['kind']): Promise<void> {
  const container = docker().getContainer(id);
  switch (kind) {
    case 'kill':
      return container.kill();
    case 'remove':
      return container.remove({ force: true });
    case 'restart':
      return container.restart({ t: 0 });
    case 'kill-inside': {
      const { inside } = await processesOf(world.dockerd.folder);
      for (const pid of inside.get(id) ?? []) process.kill(pid, 'SIGKILL');
      return;
    }
    default: {
      const hog = await container.exec({ Cmd: ['sh', '-c', 'x=$(yes | head -c 200000000)'] });
      await hog.start({ Detach: true });
    }
  }
}

async function tidy(ends: (() => Promise<unknown>)[]): Promise<void> {
  for (const end of ends.splice(0).toReversed()) await end();
}
