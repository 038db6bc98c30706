/**
 * System chaos: users want turns done while everything that Fairlead depends on dies at random; then a checker judges what
 * clients saw, what the store says and what is left on the machine. Runs in tests.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from 'redis';
import type { TranscriptMessage } from '../../../workers/agent/store/store.js';
import { until } from '../../helpers/until.js';
import { differenceOf, heldAtRest } from '../at-rest.js';
import { pick, randomFrom } from '../random.js';
import { complaintsOf, countIn, type ChaosOptions, type ChaosReport } from '../report.js';
import { keysLeft } from '../keys-left.js';
import { AGENT_THREADS } from '../parts.js';
import { World } from '../world.js';
import { ChattyUser } from './chatty-user.js';
import { figuresOf, judge, type Account, type Figures } from './checker.js';
import { planFaults, type Fault, type FaultKind } from './plan.js';

const SLOW_MS = 1_500;
const SETTLE_MS = 60_000;
const OVERLOADS = 3;

const CONFIG = {
  listen: { drainTimeoutMs: 1_000 },
  agents: { hangTimeoutMs: 2_000 },
  approvals: { timeoutMs: 12_000 },
  sandbox: { hibernateAfterMs: 4_000, leaseTimeoutMs: 30_000, startTimeoutMs: 15_000 },
};

function pool(min: number, max: number): object {
  return { min, max, maxStarting: 3, idleMs: 3_000 };
}

export async function runSystemChaos(options: ChaosOptions): Promise<ChaosReport<Figures>> {
  const began = performance.now();
  const { onTeardown } = options;
  const world = await World.start({ config: CONFIG, pools: { a: pool(3, 8), b: pool(0, 2) }, onTeardown });
  const random = randomFrom(options.seed ^ 0x5eed);
  const users = Array.from(
    { length: options.people },
    (_, index) => new ChattyUser({ world, name: `p${index}`, random: randomFrom(Math.floor(random() * 2 ** 32)) }),
  );
  onTeardown(() => Promise.all(users.map((user) => user.leave())));
  let over = false;
  const violations: string[] = [];
  const lives = users.map((user) =>
    user.live(() => over).catch((error: unknown) => violations.push((error as Error).message)),
  );
  const faults = planFaults(options.seed, options.events);
  const events: Record<string, number> = {};
  const strikes: Promise<unknown>[] = [];
  for (const [index, fault] of faults.entries()) {
    options.onProgress?.(index, faults.length);
    const strike = perform(world, users, fault).catch((error: unknown) => {
      const failure = `the fault ${fault.kind} failed: ${(error as Error).message}`;
      world.note(failure);
      violations.push(failure);
    });
    strikes.push(strike);
    if (isHeavy(fault.kind)) await strike;
    await delay(fault.pauseMs);
    countIn(events, fault.kind);
  }
  await Promise.all(strikes);
  over = true;
  await Promise.all(lives);
  options.onProgress?.(faults.length, faults.length);
  const accounts = await settleAccounts(world, users, violations);
  violations.push(
    ...accounts.flatMap(judge),
    ...users.flatMap(({ violations: own, record }) => [...own, ...record.violations]),
  );
  violations.push(...(await judgeResidue(world, users).catch((error: Error) => [`no judgement: ${error.message}`])));
  violations.push(...world.model.violations.map((problem) => `the model was sent what it refuses: ${problem}`));
  return {
    seed: options.seed,
    violations,
    events,
    figures: figuresOf(accounts),
    complaints: complaintsOf(world),
    seconds: (performance.now() - began) / 1_000,
  };
}

/** The next fault waits for a heavy one: otherwise they would all queue up to the end. */
function isHeavy(kind: FaultKind): boolean {
  return !['cut', 'slow-reader', 'second-device', 'reconnect-storm', 'cut-model', 'model-overloaded'].includes(kind);
}

async function perform(world: World, users: readonly ChattyUser[], { kind, draw }: Fault): Promise<void> {
  const user = pick(users, draw)!;
  const thread = Math.floor((draw * 1_000) % AGENT_THREADS);
  world.note(`${kind} ${user.name}`);
  switch (kind) {
    case 'cut':
      return user.cut();
    case 'slow-reader':
      return user.slowDown(SLOW_MS);
    case 'second-device':
      return user.addDevice();
    case 'reconnect-storm':
      return user.storm();
    case 'take-session':
      return user.move();
    case 'kill-agent-thread':
      return world.strikeThread(`die agent ${thread}`);
    case 'hang-agent-thread':
      return world.strikeThread(`hang agent ${thread}`);
    case 'kill-docker-thread':
      return world.strikeThread('die docker');
    case 'kill-server':
      return world.killServer();
    case 'stop-server':
      return world.stopServer();
    case 'restart-redis':
      return world.restartRedis();
    case 'pause-redis':
      return world.pauseRedis();
    case 'kill-redis':
      return world.killRedis();
    case 'restart-dockerd':
      return world.restartDockerd(draw < 0.5 ? 'SIGKILL' : 'SIGTERM');
    case 'kill-container':
      return void (await world.strikeContainer('kill', draw));
    case 'cut-model':
      return world.cutModel();
    case 'model-overloaded':
      return world.overloadModel(OVERLOADS);
  }
}

/** Of each user: what clients saw, what the store says, and what is in the workspace. */
async function settleAccounts(world: World, users: readonly ChattyUser[], violations: string[]): Promise<Account[]> {
  for (const name of world.servers.keys()) await world.ready(name);
  const accounts: Account[] = [];
  for (const user of users) {
    try {
      const { text } = await user.lastTurn();
      const url = `${world.server(user.server).url}/v1/sessions/${user.session}/history`;
      const { transcript } = (await (await fetch(url)).json()) as { transcript: TranscriptMessage[] };
      const { name, wishes, record } = user;
      accounts.push({
        name,
        events: record.events,
        wishes,
        accepted: record.accepted,
        transcript,
        workspace: text,
        mayHaveLost: user.moved || mayHaveLost(world, user.session),
      });
    } catch (error) {
      violations.push((error as Error).message);
    }
  }
  return accounts;
}

/** Its workspace may be gone because of a fault. */
function mayHaveLost(world: World, session: string): boolean {
  return world.harm > 0 || world.sandboxesOf(session).some((id) => world.harmed.has(id));
}

/** With all sessions deleted, only warm sandboxes may be left; with both servers stopped in order, nothing. */
async function judgeResidue(world: World, users: readonly ChattyUser[]): Promise<string[]> {
  await Promise.all(users.map((user) => user.leave()));
  const problems: string[] = [];
  const redis = createClient({ url: world.redis.url });
  redis.on('error', (error: Error) => problems.push(error.message));
  await redis.connect();
  for (const session of await redis.zRange('fairlead:sessions', 0, -1)) {
    const { status } = await fetch(`${world.engine.url}/v1/sessions/${session}`, { method: 'DELETE' });
    if (status !== 204) problems.push(`session ${session} could not be deleted: ${status}`);
  }
  // The other server learns of a deletion when it reconciles, and a start begins with that.
  await world.server('b').restart({ samePort: true });
  let left: string[] = [];
  const exact = async (): Promise<boolean> => {
    left = [
      ...(await keysLeft(redis)),
      ...(await world.containers()).filter(({ Names }) => Names[0]?.includes('.')).map(({ Names }) => `${Names[0]}`),
      ...(await filesOf(world)),
    ];
    return left.length === 0;
  };
  await until('nothing is left of deleted sessions', exact, { timeoutMs: SETTLE_MS }).catch(() => {
    problems.push(`left of deleted sessions: ${left.join(' ')}`);
  });
  await redis.close();
  const held = await heldAtRest(world);
  await world.killServer();
  const more = differenceOf(held, await heldAtRest(world));
  if (more.length > 0) problems.push(`the server held what a new one does not, or the other way: ${more.join(', ')}`);
  for (const [name, server] of world.servers) {
    server.signal('SIGTERM');
    const { code } = await server.exited;
    if (code !== 0) problems.push(`server ${name} ended with ${code}`);
  }
  const containers = (await world.containers()).map(({ Names, State }) => `${Names[0]} ${State}`);
  if (containers.length > 0) problems.push(`containers outlive an orderly stop: ${containers.join()}`);
  return problems;
}

async function filesOf(world: World): Promise<string[]> {
  const folders = [...world.servers.values()].map(({ dataDir }) => join(dataDir, 'workspaces'));
  return (await Promise.all(folders.map((folder) => readdir(folder)))).flat();
}
