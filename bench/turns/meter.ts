/** A stretch of time in which users talk: their samples, the server's metrics, and who used the processors. */
import { availableParallelism } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { machineBusyMs, processTime, threadTimes, type Spent } from './cpu.js';
import type { Talk, Way } from './messages.js';
import type { Scrape } from './scrape.js';
import type { Stand } from './stand.js';
import { orInterrupted } from '../shared/work.js';

/** A process of users, or the model, that uses more of one processor is what limits. */
const TOO_BUSY = 0.9;

export interface Stretch extends Talk {
  way: Way;
  people: number;
  seconds: number;
  before: Scrape;
  after: Scrape;
  /** The server's threads; then `Redis`, `the model`, `the people`. */
  spent: Map<string, Spent>;
  /** Of the server's process. */
  engineMs: number;
  peopleMs: number;
  /** Of all processors, 0 to 1. */
  busy: number;
  /** Saturated helpers, which may be the reason for slow turns. */
  exhausted: string[];
}

export interface StretchOptions {
  way: Way;
  people: number;
  warmMs: number;
  measureMs: number;
}

interface Reading {
  at: number;
  scrape: Scrape;
  threads: Map<string, Spent>;
  engine: Spent;
  redis: Spent;
  model: Spent;
  people: Spent[];
  machineMs: number;
}

export async function measure(stand: Stand, options: StretchOptions, signal: AbortSignal): Promise<Stretch> {
  const { warmMs, measureMs } = options;
  const talking = stand.crowd.talk(options);
  talking.catch(() => undefined); // awaited below, unless a reading fails first
  await pause(warmMs, undefined, { signal });
  const first = await read(stand, signal);
  await pause(measureMs, undefined, { signal });
  const last = await read(stand, signal);
  return { ...stretch(first, last, options), ...(await orInterrupted(talking, signal)) };
}

/** A scrape resets the event-loop delays, so one scrape begins the stretch and one ends it. */
async function read(stand: Stand, signal: AbortSignal): Promise<Reading> {
  const { engine, redis, model, crowd, threads } = stand;
  const scrape = await stand.scrape(signal);
  return {
    at: performance.now(),
    scrape,
    threads: await threadTimes(engine.pid, threads),
    engine: await processTime(engine.pid),
    redis: await processTime(redis.pid),
    model: await processTime(model.pid),
    people: await Promise.all(crowd.pids.map(processTime)),
    machineMs: await machineBusyMs(),
  };
}

function stretch(first: Reading, last: Reading, { way, people }: StretchOptions): Omit<Stretch, keyof Talk> {
  const ms = last.at - first.at;
  const perProcess = last.people.map((spent, index) => minus(spent, first.people[index]));
  const all = perProcess.reduce((sum, spent) => plus(sum, spent));
  const model = minus(last.model, first.model);
  const spent = new Map([...last.threads].map(([name, now]) => [name, minus(now, first.threads.get(name))]));
  spent.set('Redis', minus(last.redis, first.redis)).set('the model', model).set('the people', all);
  const exhausted = [
    ...perProcess.filter(({ cpuMs }) => cpuMs > TOO_BUSY * ms).map(() => 'the people'),
    ...(model.cpuMs > TOO_BUSY * ms ? ['the model'] : []),
  ];
  return {
    way,
    people,
    seconds: ms / 1_000,
    before: first.scrape,
    after: last.scrape,
    spent,
    engineMs: minus(last.engine, first.engine).cpuMs,
    peopleMs: all.cpuMs,
    busy: (last.machineMs - first.machineMs) / ms / availableParallelism(),
    exhausted: [...new Set(exhausted)],
  };
}

/** Threads that began meanwhile count from zero. */
function minus(after: Spent, before: Spent = { cpuMs: 0, waitedMs: 0 }): Spent {
  return { cpuMs: after.cpuMs - before.cpuMs, waitedMs: after.waitedMs - before.waitedMs };
}

function plus(a: Spent, b: Spent): Spent {
  return { cpuMs: a.cpuMs + b.cpuMs, waitedMs: a.waitedMs + b.waitedMs };
}
