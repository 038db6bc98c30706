/**
 * Sandbox chaos: users call tools while containers, dockerd, the docker thread and the server die, several events at a time. Then
 * exactly those containers, processes, open files and archives are left that the store and the server say. Runs in tests.
 */
import { until } from '../../helpers/until.js';
import { differenceOf, heldAtRest } from '../at-rest.js';
import { complaintsOf, type ChaosOptions, type ChaosReport } from '../report.js';
import { World } from '../world.js';
import { planSandboxChaos } from './plan.js';
import { PlanPlayer } from './plan-player.js';
import { archivesOf, differences, look, MIN_WARM, runningOf, sessionOfArchive, storeOf } from './residue.js';
import type { ScriptedUser } from './scripted-user.js';

const SETTLE_MS = 30_000;
/** Users who hold a sandbox while the rest of the machine is judged. */
const HOLDERS = 4;
/** Logged as errors, and caused by the run. The last is said of a sandbox that was ended from outside while it waited for its session. */
const EXPECTED = /^docker thread: (error|died)|^a workspace could not be saved/;

const CONFIG = {
  listen: { drainTimeoutMs: 500 },
  sandbox: { hibernateAfterMs: 1_000, leaseTimeoutMs: 20_000, startTimeoutMs: 10_000 },
};
/** A warm pool that grows with demand, and soon shrinks to its minimum. */
const POOL = { min: MIN_WARM, max: 5, maxStarting: 3, idleMs: 2_000 };

/** `write ok`: how many events of that kind had that outcome. */
export type SandboxFigures = Record<string, number>;

export async function runSandboxChaos(options: ChaosOptions): Promise<ChaosReport<SandboxFigures>> {
  const began = performance.now();
  const world = await World.start({ config: CONFIG, pools: { a: POOL }, onTeardown: options.onTeardown });
  const player = new PlanPlayer(world, { atOnce: options.people });
  const judge = new Judge(world, player);
  const plan = planSandboxChaos(options.seed, options.events);
  await judge.phase('events', async () => {
    await judge.settled([]);
    await player.play(plan, options.onProgress);
    judge.violations.push(...player.faults);
  });
  await judge.phase('after one reconciliation exactly what sessions hold is there', () => judge.reconciled());
  await judge.phase('who has an archive finds their own files, the others nothing', () => judge.archives());
  await judge.phase('after kill -9 and a new start, what had hibernated is there', () => judge.killed());
  await judge.phase('deleted sessions leave nothing', () => judge.deleted());
  await judge.phase('a stop leaves nothing', () => judge.stopped());
  const complaints = complaintsOf(world, EXPECTED);
  judge.violations.push(...complaints.map((line) => `logged for no reason: ${line}`));
  return {
    seed: options.seed,
    violations: judge.violations,
    events: player.events,
    figures: { ...player.outcomes, 'hibernated with files': hibernated(world) },
    complaints,
    seconds: (performance.now() - began) / 1_000,
  };
}

function hibernated(world: World): number {
  return world.logs.filter(({ msg, files }) => msg === 'sandbox hibernated' && files !== 0).length;
}

class Judge {
  readonly violations: string[] = [];
  readonly #world: World;
  readonly #player: PlanPlayer;
  #phase = '';

  constructor(world: World, player: PlanPlayer) {
    this.#world = world;
    this.#player = player;
  }

  /** What throws ends its phase, and the next one begins. */
  async phase(name: string, work: () => Promise<void>): Promise<void> {
    this.#phase = name;
    this.#world.note(`phase: ${name}`);
    await work().catch((error: Error) => this.violations.push(`${name}: ${error.message}`));
  }

  /** Resolves when exactly these users hold a sandbox and nothing else is there. */
  async settled(holders: readonly ScriptedUser[]): Promise<void> {
    let wrong: string[] = [];
    const sessions = holders.map(({ session }) => session);
    const exact = async (): Promise<boolean> => {
      wrong = differences(await look(this.#world), sessions);
      return wrong.length === 0;
    };
    await until('exactly what should be there', exact, { timeoutMs: SETTLE_MS, tell: () => wrong.join('\n') });
  }

  async reconciled(): Promise<void> {
    const users = this.#users;
    const holders = users.slice(0, HOLDERS);
    await Promise.all(users.map((user) => user.stopNap()));
    const writing = users.slice(HOLDERS, 2 * HOLDERS).map(async (user) => {
      const outcome = await user.write();
      return outcome === 'ok' ? outcome : `${outcome}: ${user.said}`;
    });
    this.#same('outcomes of writing', new Set(await Promise.all(writing)), new Set(['ok']));
    await this.#world.reconcile();
    for (const user of holders) this.#same('outcome of a nap', await user.nap(), 'ok');
    await this.settled(holders);
    this.#same('unknown sessions that had a turn', await this.#forgetUnknown(), []);
    const { sessions } = await storeOf(this.#world);
    this.#same('sessions in the store', sessions.toSorted(), users.map(({ session }) => session).sort());
  }

  async archives(): Promise<void> {
    const users = this.#users;
    await Promise.all(users.slice(0, HOLDERS).map((user) => user.stopNap()));
    await this.settled([]);
    const saved = new Set((await archivesOf(this.#world)).map(sessionOfArchive));
    this.#same('too few sessions have files', saved.size < Math.min(HOLDERS, users.length), false);
    for (const { session, outcome, text } of await this.#readAll()) {
      this.#same(`reading in ${session}`, outcome, 'ok');
      this.#same(`${session} has files`, text.startsWith(`${session}#`), saved.has(session));
      if (!saved.has(session)) this.#same(`${session} without an archive`, text, '');
    }
  }

  async killed(): Promise<void> {
    const before = await this.#filesAtRest();
    const archives = await archivesOf(this.#world);
    await this.#world.killServer();
    await this.settled([]);
    this.#same('archives', await archivesOf(this.#world), archives);
    const found = await this.#readAll();
    this.#same('sessions with files', found.filter(({ text }) => text !== '').length, archives.length);
    const held = differenceOf(before, await this.#filesAtRest());
    this.#same('what only the old (+) or the new server (-) holds', held, []);
    this.violations.push(...this.#users.flatMap(({ problems }) => problems));
  }

  async deleted(): Promise<void> {
    await Promise.all(this.#users.map((user) => user.delete()));
    await this.settled([]);
    this.#same('archives', await archivesOf(this.#world), []);
    this.#same('the store', await storeOf(this.#world), { sessions: [], keys: [] });
  }

  async stopped(): Promise<void> {
    const { engine, model } = this.#world;
    engine.signal('SIGTERM');
    this.#same('exit', await engine.exited, { code: 0, signal: null });
    this.#same('containers', await this.#world.containers(), []);
    const { shims, inside } = await runningOf(this.#world);
    this.#same('containers with a shim or a process', [...shims.keys(), ...inside.keys()], []);
    this.#same('what the model refused', model.violations, []);
  }

  get #users(): ScriptedUser[] {
    return [...this.#player.users];
  }

  #readAll(): Promise<{ session: string; outcome: string; text: string }[]> {
    return Promise.all(this.#users.map(async (user) => ({ session: user.session, ...(await user.read()) })));
  }

  /** A server killed between a session's row and its first frame leaves a session that no client knows. Resolves with those that had a turn. */
  async #forgetUnknown(): Promise<string[]> {
    const known = new Set(this.#users.map(({ session }) => session));
    const used: string[] = [];
    for (const session of (await storeOf(this.#world)).sessions) {
      if (known.has(session)) continue;
      const url = `${this.#world.engine.url}/v1/sessions/${session}`;
      const { turns } = (await (await fetch(url)).json()) as { turns: number };
      if (turns > 0) used.push(session);
      await fetch(url, { method: 'DELETE' });
    }
    return used;
  }

  async #filesAtRest(): Promise<string[]> {
    await Promise.all(this.#users.map((user) => user.leave()));
    await this.settled([]);
    return heldAtRest(this.#world);
  }

  #same(what: string, is: unknown, should: unknown): void {
    const [left, right] = [is, should].map((value) => JSON.stringify(value instanceof Set ? [...value] : value));
    if (left !== right) this.violations.push(`${this.#phase}: ${what}: ${left}, not ${right}`);
  }
}
