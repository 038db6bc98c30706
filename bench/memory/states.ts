/** The cost of a session in each of its states, all states at once in one server, so that freed pages hide nothing. */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ModelServer } from '../../test/helpers/model-server.js';
import { share, sumOf, Probe, type Growth } from './growth.js';
import { startBare, startMeasuredEngine, type Measured, type MeasuredEngine } from './measured.js';
import { People, type Person } from './people.js';
import { openFiles } from '../suite/proc.js';
import { diskBytes } from './proc.js';
import { sandboxCount } from './sandbox-count.js';
import { SAY } from './script.js';
import { RedisBytes } from './store-bytes.js';

/** How many attach at once. */
const WARM_UP = 200;
const STEPS = 4;
const AT_ONCE = 50;
const LOOK_EVERY_MS = 100;
const REST_MS = 10_000;

export interface StatesOptions {
  /** '' = the embedded store. */
  redisUrl: string;
  model: ModelServer;
  attached: number;
  /** As many of them in a turn, and as many others waiting for approval. */
  busy: number;
  signal: AbortSignal;
  progress: (doing: string) => void;
}

/** Of one session, in bytes, compared with no session. */
export interface States {
  attached: Growth;
  inTurn: Growth;
  waiting: Growth;
  /** After the turn, with nobody attached. */
  atRest: Growth;
  /** A bare socket. */
  bare: Growth;
  /** Sandboxes in use while sessions were in a turn or waiting. */
  leased: number;
  /** Additional open connections and files of the server some seconds after everybody has left. */
  connectionsLeft: number;
  /** Threads of the server whose heaps are counted. */
  threads: number;
  /** [sessions, MiB more]. */
  curve: { ours: [number, number][]; bare: [number, number][] };
}

export async function sessionStates(options: StatesOptions): Promise<States> {
  const { redisUrl, model, signal } = options;
  const people = new People(signal);
  const opened: (() => unknown)[] = [];
  try {
    const engine = await startMeasuredEngine(
      {
        agents: { threads: 1, spare: false },
        approvals: { default: 'ask' },
        limits: { maxSocketsPerUser: options.attached + WARM_UP, idleTimeoutMs: 960_000 },
        sandbox: { driver: 'process' },
      },
      { REDIS_URL: redisUrl, DOCKER_HOST: '', ANTHROPIC_API_KEY: 'bench', ANTHROPIC_BASE_URL: model.url },
    );
    opened.push(() => engine.stop());
    const bare = await startBare();
    opened.push(() => bare.stop());
    const redis = redisUrl === '' ? undefined : await RedisBytes.open(redisUrl);
    if (redis) opened.push(() => redis.close());
    const store = (): Promise<number> => redis?.used() ?? diskBytes(join(engine.engine.dataDir, 'store'));
    const files = await openFiles(engine.pid);
    await warmUp(people, engine, bare);
    await restOf(engine, files, signal);
    return await climb(options, people, { engine, bare, store, files });
  } finally {
    people.cut();
    for (const close of opened.toReversed()) await close();
  }
}

/** The first sessions pay for code that is compiled once; they do not count. */
async function warmUp(people: People, engine: Measured, bare: Measured): Promise<void> {
  await people.attach(bare.wsUrl, WARM_UP);
  const first = await people.attach(engine.wsUrl, WARM_UP);
  await takeTurns(people, first);
  await endTurns(people, first);
  await askForApproval(people, first);
  await answerNo(people, first);
  await people.each([...people.all], AT_ONCE, (person) => person.close());
}

interface Parts {
  engine: MeasuredEngine;
  bare: Measured;
  store: () => Promise<number>;
  /** Open connections and files of the server with nobody there. */
  files: number;
}

/** The server's connections to the model outlive their turns by some seconds. Resolves when they are gone, with the number of those that stay. */
async function restOf({ pid }: Measured, files: number, signal: AbortSignal): Promise<number> {
  const deadline = performance.now() + REST_MS;
  for (;;) {
    const more = (await openFiles(pid)) - files;
    if (more <= 0 || performance.now() > deadline) return Math.max(0, more);
    await pause(LOOK_EVERY_MS, undefined, { signal });
  }
}

async function climb({ attached, busy, signal, progress }: StatesOptions, people: People, parts: Parts) {
  const ours = new Probe(parts.engine, signal, parts.store);
  const theirs = new Probe(parts.bare, signal);
  const come: Person[] = [];
  const steps = { ours: [] as Growth[], bare: [] as Growth[] };
  const curve: States['curve'] = { ours: [[0, 0]], bare: [[0, 0]] };
  const step = Math.ceil(attached / STEPS);
  for (let done = step; done <= step * STEPS; done += step) {
    progress(`${done} of ${step * STEPS} sessions attached, as many bare sockets`);
    const attach = async (): Promise<unknown> => come.push(...(await people.attach(parts.engine.wsUrl, step)));
    steps.ours.push(await ours.during(attach));
    steps.bare.push(await theirs.during(() => people.attach(parts.bare.wsUrl, step)));
    curve.ours.push([done, grownMib(steps.ours)]);
    curve.bare.push([done, grownMib(steps.bare)]);
  }
  const attaching = sumOf(...steps.ours);
  // The first step is in the plot only: a server that has just started still frees memory of its start.
  const counted = step * (STEPS - 1);
  const each = share(sumOf(...steps.ours.slice(1)), counted);
  const talking = come.slice(0, busy);
  const asked = come.slice(busy, busy * 2);
  progress(`${talking.length} sessions in a turn`);
  const turns = await ours.during(() => takeTurns(people, talking));
  progress(`${asked.length} sessions wait for approval`);
  const waits = await ours.during(() => askForApproval(people, asked));
  const leased = await sandboxCount(parts.engine.engine, 'leased', signal);
  progress('the turns end, and everybody leaves');
  const ends = await ours.during(async () => {
    await endTurns(people, talking);
    await answerNo(people, asked);
  });
  let connectionsLeft = 0;
  const leaving = await ours.during(async () => {
    await people.each(come, AT_ONCE, (person) => person.close());
    connectionsLeft = await restOf(parts.engine, parts.files, signal);
  });
  const left = share(sumOf(attaching, turns, waits, ends, leaving), come.length);
  const turned = share(sumOf(turns, waits, ends), talking.length + asked.length);
  return {
    attached: each,
    inTurn: sumOf(each, share(turns, talking.length)),
    waiting: sumOf(each, share(waits, asked.length)),
    // The store keeps the history of those who had a turn; the server must keep nothing.
    atRest: { ...left, store: each.store + turned.store },
    bare: share(sumOf(...steps.bare.slice(1)), counted),
    leased,
    connectionsLeft,
    threads: ours.threads,
    curve,
  };
}

function grownMib(growths: readonly Growth[]): number {
  return sumOf(...growths).rss / 2 ** 20;
}

async function takeTurns(people: People, who: readonly Person[]): Promise<void> {
  await people.each(who, AT_ONCE, (person) => person.say(SAY.hold, 'text:delta'));
}

async function endTurns(people: People, who: readonly Person[]): Promise<void> {
  await people.each(who, AT_ONCE, (person) => person.cancel());
}

async function askForApproval(people: People, who: readonly Person[]): Promise<void> {
  await people.each(who, AT_ONCE, (person) => person.say(SAY.call, 'tool:approval_required'));
}

async function answerNo(people: People, who: readonly Person[]): Promise<void> {
  await people.each(who, AT_ONCE, (person) => person.deny());
}
