/** A chaos run: people who want turns done, faults all the while, a judgement at the end. Runs in tests. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient } from 'redis';
import type { TranscriptMessage } from '../../../workers/agent/store/store.js';
import { until } from '../../helpers/until.js';
import { differenceOf, heldAtRest } from '../at-rest.js';
import { figuresOf, judge, type Account, type Figures } from './checker.js';
import { Person } from './person.js';
import { pick, planFaults, randomFrom, type Fault, type FaultKind } from './plan.js';
import { AGENT_THREADS, World, type ServerName } from '../world.js';

const SLOW_MS = 1_500;
const SETTLE_MS = 60_000;
const OVERLOADS = 3;
const ERROR = 50;

export interface ChaosOptions {
  seed: number;
  events: number;
  people: number;
  onTeardown: (end: () => Promise<unknown>) => void;
  /** Told now and then how far it is. */
  onProgress?: (done: number, of: number) => void;
}

export interface ChaosReport {
  seed: number;
  violations: string[];
  faults: Partial<Record<FaultKind, number>>;
  figures: Figures;
  /** What the servers have logged as errors, and as warnings of Node. */
  complaints: string[];
  seconds: number;
}

export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const began = performance.now();
  const world = await World.start(options.onTeardown);
  const random = randomFrom(options.seed ^ 0x5eed);
  const people = Array.from(
    { length: options.people },
    (_, index) => new Person({ world, name: `p${index}`, random: randomFrom(Math.floor(random() * 2 ** 32)) }),
  );
  options.onTeardown(() => Promise.all(people.map((person) => person.leave())));
  let over = false;
  const violations: string[] = [];
  const lives = people.map((person) =>
    person.live(() => over).catch((error: unknown) => violations.push((error as Error).message)),
  );
  const faults = planFaults(options.seed, options.events);
  const done: ChaosReport['faults'] = {};
  const strikes: Promise<unknown>[] = [];
  for (const [index, fault] of faults.entries()) {
    options.onProgress?.(index, faults.length);
    const strike = perform(world, people, fault).catch((error: unknown) => {
      const failure = `the fault ${fault.kind} failed: ${(error as Error).message}`;
      world.note(failure);
      violations.push(failure);
    });
    strikes.push(strike);
    if (isHeavy(fault.kind)) await strike;
    await new Promise((resolve) => setTimeout(resolve, fault.pauseMs));
    done[fault.kind] = (done[fault.kind] ?? 0) + 1;
  }
  await Promise.all(strikes);
  over = true;
  await Promise.all(lives);
  options.onProgress?.(faults.length, faults.length);
  const accounts = await settleAccounts(world, people, violations);
  violations.push(
    ...accounts.flatMap(judge),
    ...people.flatMap(({ violations: own, record }) => [...own, ...record.violations]),
  );
  violations.push(...(await judgeResidue(world, people).catch((error: Error) => [`no judgement: ${error.message}`])));
  violations.push(...world.model.violations.map((problem) => `the model was sent what it refuses: ${problem}`));
  return {
    seed: options.seed,
    violations,
    faults: done,
    figures: figuresOf(accounts),
    complaints: complaintsOf(world),
    seconds: (performance.now() - began) / 1_000,
  };
}

function complaintsOf(world: World): string[] {
  return world.logs.flatMap((line) =>
    line.level >= ERROR || line.level === 0 || /Warning/.test(line.msg) ? [JSON.stringify(line).slice(0, 600)] : [],
  );
}

/** Those that the next fault waits for: else they would all lie in line at the end. */
function isHeavy(kind: FaultKind): boolean {
  return !['cut', 'slow-reader', 'second-device', 'reconnect-storm', 'cut-model', 'model-overloaded'].includes(kind);
}

async function perform(world: World, people: readonly Person[], { kind, draw }: Fault): Promise<void> {
  const person = pick(people, draw)!;
  const thread = Math.floor((draw * 1_000) % AGENT_THREADS);
  world.note(`${kind} ${person.name}`);
  switch (kind) {
    case 'cut':
      return person.cut();
    case 'slow-reader':
      return person.slowDown(SLOW_MS);
    case 'second-device':
      return person.addDevice();
    case 'reconnect-storm':
      return person.storm();
    case 'take-session':
      return person.move();
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
      return world.killContainer(draw);
    case 'cut-model':
      return world.cutModel();
    case 'model-overloaded':
      return world.overloadModel(OVERLOADS);
  }
}

/** The last word of each: what is in its workspace, and what the store says was said. */
async function settleAccounts(world: World, people: readonly Person[], violations: string[]): Promise<Account[]> {
  for (const name of ['a', 'b'] as const) await serverReady(world, name);
  const accounts: Account[] = [];
  for (const person of people) {
    try {
      const { text } = await person.lastTurn();
      const url = `${world.servers[person.server].url}/v1/sessions/${person.session}/history`;
      const { transcript } = (await (await fetch(url)).json()) as { transcript: TranscriptMessage[] };
      const { name, wishes, record } = person;
      const mayHaveLost = person.moved || world.mayHaveLost(person.session);
      accounts.push({
        name,
        events: record.events,
        wishes,
        accepted: record.accepted,
        transcript,
        workspace: text,
        mayHaveLost,
      });
    } catch (error) {
      violations.push((error as Error).message);
    }
  }
  return accounts;
}

async function serverReady(world: World, name: ServerName): Promise<void> {
  let said = '';
  const ready = async (): Promise<boolean> => {
    try {
      const answer = await fetch(`${world.servers[name].url}/readyz`);
      said = await answer.text();
      return answer.ok;
    } catch (error) {
      said = `it does not answer: ${String((error as Error).cause)}`;
      return false;
    }
  };
  await until(`server ${name} is ready`, ready, { timeoutMs: SETTLE_MS, tell: () => said });
}

/** With all sessions deleted, only shelves are left; with both servers stopped in order, nothing. */
async function judgeResidue(world: World, people: readonly Person[]): Promise<string[]> {
  await Promise.all(people.map((person) => person.leave()));
  const problems: string[] = [];
  const redis = createClient({ url: world.redis.url });
  redis.on('error', (error: Error) => problems.push(error.message));
  await redis.connect();
  for (const session of await redis.zRange('fairlead:sessions', 0, -1)) {
    const { status } = await fetch(`${world.servers.a.url}/v1/sessions/${session}`, { method: 'DELETE' });
    if (status !== 204) problems.push(`session ${session} could not be deleted: ${status}`);
  }
  // What a deletion at one server leaves at the other, that one's next reconcile takes: a restart begins with one.
  await world.servers.b.restart({ samePort: true });
  let left: string[] = [];
  const exact = async (): Promise<boolean> => {
    left = [
      ...(await redis.keys('*')),
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
  for (const name of ['a', 'b'] as const) {
    world.servers[name].signal('SIGTERM');
    const { code } = await world.servers[name].exited;
    if (code !== 0) problems.push(`server ${name} ended with ${code}`);
  }
  const containers = (await world.containers()).map(({ Names, State }) => `${Names[0]} ${State}`);
  if (containers.length > 0) problems.push(`containers outlive an orderly stop: ${containers.join()}`);
  return problems;
}

async function filesOf(world: World): Promise<string[]> {
  const folders = [world.servers.a.dataDir, world.servers.b.dataDir].map((dir) => join(dir, 'workspaces'));
  return (await Promise.all(folders.map((folder) => readdir(folder)))).flat();
}
