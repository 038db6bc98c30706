/** Measures all ways at all lengths in turn: bytes, time and CPU time of an append, time of a load. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { bytesOf, redisCpuMs, type RedisClient } from './redis-server.js';
import type { Turn } from './transcript.js';
import type { Way } from './way.js';

/** Transcripts of this length, and how many: with too few, the appended turns would change the length. */
export interface Length {
  turns: number;
  sessions: number;
}

/** Of one way at one length. */
export interface Measured {
  appendMs: number[];
  loadMs: number[];
  bytesPerTurn: number;
  /** CPU time of an append, in this process and in Redis, background work included. */
  cpuMs: number;
  redisMs: number;
}

export interface Options {
  client: RedisClient;
  lengths: readonly Length[];
  sessionsOf: (length: Length) => readonly (readonly Turn[])[];
  /** The appended turns, the same at each length. */
  turns: readonly Turn[];
  rounds: number;
  /** Loads for each way; a transcript may be loaded more than once. */
  loads: number;
  signal: AbortSignal;
  progress: (doing: string, share: number) => void;
}

/** One way at one length. */
interface Case {
  way: Way;
  length: Length;
  measured: Measured;
}

/** By turns, then by way. */
export type ByLength = ReadonlyMap<number, ReadonlyMap<string, Measured>>;

/** From this length on, rewriting ways append once a round: each append takes a tenth of a second. */
const LONG_TURNS = 1_000;
const BLANKS = 20;

const collect = collector();

/** Each round runs every way at every length, so that a busy moment of the machine does not hit one length alone. */
export async function measureAll(ways: readonly Way[], options: Options): Promise<ByLength> {
  const { client, lengths, turns, rounds, loads, signal, progress } = options;
  const cases: Case[] = [];
  for (const [index, length] of lengths.entries()) {
    progress(`making transcripts of ${length.turns.toLocaleString('en')} turns`, (0.4 * index) / lengths.length);
    const sessions = options.sessionsOf(length);
    for (const way of ways) cases.push({ way, length, measured: await prepare(way, length, sessions, options) });
  }
  const blankMs = await blankCpuMs(client);
  const each = Math.floor(turns.length / rounds);
  for (let round = 0; round < rounds; round++) {
    progress('appending', 0.4 + (0.4 * round) / rounds);
    for (const { way, length, measured } of rotated(cases, round)) {
      signal.throwIfAborted();
      const count = way.rewrites && length.turns >= LONG_TURNS ? 1 : each;
      const first = round * each;
      const block = turns.slice(first, first + count).map((turn, index) => ({
        turn,
        session: nameOf(length, first + index),
      }));
      await appendBlock(way, block, measured, { client, blankMs });
    }
  }
  for (const { measured } of cases) {
    measured.cpuMs /= measured.appendMs.length;
    measured.redisMs /= measured.appendMs.length;
  }
  for (let round = 0; round < loads; round++) {
    progress('loading', 0.8 + (0.2 * round) / loads);
    for (const { way, length, measured } of rotated(cases, round)) {
      signal.throwIfAborted();
      // One way must not collect the garbage of another.
      collect();
      const startedAt = performance.now();
      await way.load(nameOf(length, round));
      measured.loadMs.push(performance.now() - startedAt);
    }
  }
  return byLength(cases);
}

async function prepare(
  way: Way,
  length: Length,
  sessions: readonly (readonly Turn[])[],
  { client, signal }: Options,
): Promise<Measured> {
  let bytes = 0;
  for (const [index, session] of sessions.entries()) {
    signal.throwIfAborted();
    await way.prepare(nameOf(length, index), session);
    await way.settle();
    bytes += await bytesOf(client, way.keys(nameOf(length, index)));
  }
  await checkLoad(way, nameOf(length, 0), sessions[0] ?? []);
  return { appendMs: [], loadMs: [], bytesPerTurn: bytes / sessions.length / length.turns, cpuMs: 0, redisMs: 0 };
}

async function appendBlock(
  way: Way,
  block: readonly { session: string; turn: Turn }[],
  measured: Measured,
  { client, blankMs }: { client: RedisClient; blankMs: number },
): Promise<void> {
  collect();
  const redisBefore = await redisCpuMs(client);
  const before = process.cpuUsage();
  for (const { session, turn } of block) {
    const startedAt = performance.now();
    await way.append(session, turn);
    measured.appendMs.push(performance.now() - startedAt);
  }
  let used = process.cpuUsage(before);
  let redisAfter = await redisCpuMs(client);
  // The check for background work costs, too; it counts where there was work.
  const settling = process.cpuUsage();
  if (await way.settle()) {
    const more = process.cpuUsage(settling);
    used = { user: used.user + more.user, system: used.system + more.system };
    redisAfter = (await redisCpuMs(client)) - blankMs;
  }
  measured.cpuMs += (used.user + used.system) / 1_000;
  measured.redisMs += Math.max(0, redisAfter - redisBefore - blankMs);
}

/** Throws when a load does not return what was stored. */
async function checkLoad(way: Way, session: string, turns: readonly Turn[]): Promise<void> {
  const loaded = JSON.stringify(await way.load(session));
  if (loaded !== JSON.stringify(turns.flat(2))) throw new Error(`${way.name} did not give back what it was given`);
}

/** The CPU time that Redis needs to report its CPU time: each difference of two includes it. */
async function blankCpuMs(client: RedisClient): Promise<number> {
  const before = await redisCpuMs(client);
  let after = before;
  for (let i = 0; i < BLANKS; i++) after = await redisCpuMs(client);
  return (after - before) / BLANKS;
}

function byLength(cases: readonly Case[]): ByLength {
  const found = new Map<number, Map<string, Measured>>();
  for (const { way, length, measured } of cases) {
    found.set(length.turns, (found.get(length.turns) ?? new Map<string, Measured>()).set(way.name, measured));
  }
  return found;
}

/** Takes the length's transcripts in turn. */
function nameOf({ turns, sessions }: Length, index: number): string {
  return `${turns}-${index % sessions}`;
}

/** Rotates the order in each round. */
function rotated<T>(items: readonly T[], by: number): T[] {
  const first = by % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}

/** Collects the garbage, so that no way pays for the one before it. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
