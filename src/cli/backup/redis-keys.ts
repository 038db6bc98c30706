/**
 * The store in Redis as a copy of its keys: it needs neither a shell on Redis's machine nor a right beyond `fairlead:*`. One moment of
 * each session; indexes and sums are of other moments, and are mended when they are restored. Command line's process.
 */
import { encodeRecord, type KeyRecord } from './redis-records.js';
import type { RedisDoor } from './redis-link.js';

const ALL = 'fairlead:*';
const SCANNED = '1000';
const ROW = /^fairlead:\{[\w-]{1,128}\}:row$/;
const PART_OF_SESSION = /^fairlead:\{[\w-]{1,128}\}:(row|history|events|ids)$/;
/** Who is there at the moment: it would count people and servers that are not. */
const OF_THE_MOMENT = /^fairlead:(quota-(servers$|sockets:|sandboxes:)|\{check\}:)/;
const CREDENTIALS = 'fairlead:{credentials}:';
const CREDENTIALS_HEAD = `${CREDENTIALS}head`;
const SERVERS = 'fairlead:quota-servers';
/** A server says more often that it is there. */
const ALIVE_MS = 90_000;

/** Keys of one command. A session's are read together, others as they come. */
const KEYS_AT_ONCE = 100;
const COMMANDS_AT_ONCE = 4;
const CHUNK_BYTES = 4 * 1024 * 1024;
/** The table of credentials is several keys. While somebody writes it, it is read again. */
const TABLE_TRIES = 5;

/** KEYS → [dump, when it expires in ms or 0, …], all of one moment. A key that is gone has no dump. */
const DUMP = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = {}
for i, key in ipairs(KEYS) do
  local ttl = redis.call('PTTL', key)
  found[2 * i - 1] = redis.call('DUMP', key) or ''
  found[2 * i] = ttl > 0 and string.format('%.0f', now + ttl) or '0'
end
return found`;

/** Servers that were there within the last ninety seconds, but for that of this data folder. */
export async function serversIn(redis: RedisDoor, instance: string | undefined): Promise<string[]> {
  const [seconds] = await redis.send<[string, string]>(['TIME']);
  const since = String(Number(seconds) * 1000 - ALIVE_MS);
  const names = await redis.send<string[]>(['ZRANGE', SERVERS, since, '+inf', 'BYSCORE']);
  return [...new Set(names.map((name) => name.slice(0, name.lastIndexOf('#'))))].filter((name) => name !== instance);
}

export async function hasKeys(redis: RedisDoor): Promise<boolean> {
  for await (const keys of scan(redis)) if (keys.some((key) => !OF_THE_MOMENT.test(key))) return true;
  return false;
}

/** Everything of the store, in pieces of some MiB, or of the largest session. */
export async function* dumpKeys(
  redis: RedisDoor,
  signal: AbortSignal,
): AsyncGenerator<{ bytes: Buffer; keys: number }> {
  const chunk = new Chunk();
  // Indexes first: a session that they lack is put into them when it is restored.
  for await (const keys of scan(redis)) {
    signal.throwIfAborted();
    const wanted = keys.filter((key) => !PART_OF_SESSION.test(key) && !OF_THE_MOMENT.test(key) && !isCredential(key));
    yield* chunk.add(await dumpAll(redis, inGroups(wanted, KEYS_AT_ONCE)));
  }
  yield* dumpCredentials(redis, chunk);
  for await (const keys of scan(redis)) {
    signal.throwIfAborted();
    for (const rows of inGroups(
      keys.filter((key) => ROW.test(key)),
      COMMANDS_AT_ONCE,
    )) {
      yield* chunk.add(await dumpAll(redis, rows.map(partsOf)));
    }
  }
  yield* chunk.rest();
}

async function* dumpCredentials(redis: RedisDoor, chunk: Chunk): AsyncGenerator<{ bytes: Buffer; keys: number }> {
  const change = (): Promise<string | null> => redis.send(['HGET', CREDENTIALS_HEAD, 'change']);
  for (let tries = 1; tries <= TABLE_TRIES; tries++) {
    const before = await change();
    for await (const keys of scan(redis)) {
      yield* chunk.add(await dumpAll(redis, inGroups(keys.filter(isCredential), KEYS_AT_ONCE)));
    }
    if ((await change()) === before) return;
  }
}

/** Puts keys back; those that have expired by now stay away. Resolves with the names of the others. */
export async function restoreRecords(redis: RedisDoor, records: readonly KeyRecord[], now: number): Promise<string[]> {
  const living = records.filter(({ expiresAt }) => expiresAt === 0 || expiresAt > now);
  await Promise.all(
    living.map(({ key, expiresAt, dump }) =>
      redis.send(['RESTORE', key, String(expiresAt), dump, 'REPLACE', ...(expiresAt > 0 ? ['ABSTTL'] : [])]),
    ),
  );
  return living.map(({ key }) => key.toString());
}

export async function removeKeys(redis: RedisDoor): Promise<void> {
  for (let found = true; found;) {
    found = false;
    for await (const keys of scan(redis)) {
      if (keys.length === 0) continue;
      found = true;
      await redis.send(['UNLINK', ...keys]);
    }
  }
}

class Chunk {
  #records: Buffer[] = [];
  #bytes = 0;

  *add(records: readonly KeyRecord[]): Generator<{ bytes: Buffer; keys: number }> {
    for (const record of records) {
      const bytes = encodeRecord(record);
      this.#records.push(bytes);
      this.#bytes += bytes.length;
    }
    if (this.#bytes >= CHUNK_BYTES) yield* this.rest();
  }

  *rest(): Generator<{ bytes: Buffer; keys: number }> {
    if (this.#records.length === 0) return;
    const piece = { bytes: Buffer.concat(this.#records), keys: this.#records.length };
    this.#records = [];
    this.#bytes = 0;
    yield piece;
  }
}

async function dumpAll(redis: RedisDoor, groups: readonly (readonly string[])[]): Promise<KeyRecord[]> {
  const found: KeyRecord[] = [];
  for (const some of inGroups(groups, COMMANDS_AT_ONCE)) {
    for (const records of await Promise.all(some.map((keys) => dump(redis, keys)))) found.push(...records);
  }
  return found;
}

async function dump(redis: RedisDoor, keys: readonly string[]): Promise<KeyRecord[]> {
  if (keys.length === 0) return [];
  const found = await redis.sendBinary<Buffer[]>(['EVAL', DUMP, String(keys.length), ...keys]);
  return keys.flatMap((key, index) => {
    const bytes = found[2 * index];
    if (!bytes || bytes.length === 0) return [];
    return [{ key: Buffer.from(key), dump: bytes, expiresAt: Number(found[2 * index + 1]?.toString() ?? 0) }];
  });
}

function partsOf(row: string): string[] {
  const prefix = row.slice(0, -'row'.length);
  return ['row', 'history', 'events', 'ids'].map((part) => prefix + part);
}

function isCredential(key: string): boolean {
  return key.startsWith(CREDENTIALS);
}

/** Every key that is there all the while, at least once. */
async function* scan(redis: RedisDoor): AsyncGenerator<string[]> {
  let cursor = '0';
  do {
    const [next, keys] = await redis.send<[string, string[]]>(['SCAN', cursor, 'MATCH', ALL, 'COUNT', SCANNED]);
    cursor = next;
    yield keys;
  } while (cursor !== '0');
}

function inGroups<T>(items: readonly T[], size: number): T[][] {
  const groups: T[][] = [];
  for (let at = 0; at < items.length; at += size) groups.push(items.slice(at, at + size));
  return groups;
}
