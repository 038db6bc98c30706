/** Whose keys are in Redis, and their removal: several servers may share one. Command line's process. */
import { createClient } from 'redis';
import { redisAddress } from '../../shared/redis-url.js';
import { messageOf } from '../report.js';

const CONNECT_MS = 4_000;
const SCAN_COUNT = 1_000;
const PATTERN = 'fairlead:*';
const ROW = /^fairlead:\{[^{}]*\}:row$/;
const SERVERS = 'fairlead:quota-servers';
const DUE = 'fairlead:due:';
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

export interface FoundKeys {
  /** With the database, and without user and password. */
  address: string;
  count: number;
  /** Why they must be kept; undefined: all are this server's. */
  kept?: string;
}

type Client = ReturnType<typeof connectTo>;

/** Undefined where conversations are not in Redis, or none of its keys is there. Changes nothing. */
export async function lookAtKeys(redisUrl: string, instance: string | undefined): Promise<FoundKeys | undefined> {
  if (redisUrl === '') return undefined;
  return withClient(redisUrl, (client) => look(client, addressOf(redisUrl), instance));
}

/** Looks again and removes them where all are this server's. Returns what it has found. */
export async function removeKeys(redisUrl: string, instance: string | undefined): Promise<FoundKeys | undefined> {
  if (redisUrl === '') return undefined;
  return withClient(redisUrl, async (client) => {
    const found = await look(client, addressOf(redisUrl), instance);
    if (found === undefined || found.kept !== undefined) return found;
    for await (const keys of batches(client)) await client.unlink(keys);
    return found;
  });
}

async function look(client: Client, address: string, instance: string | undefined): Promise<FoundKeys | undefined> {
  const owners = new Set<string>();
  let count = 0;
  for await (const keys of batches(client)) {
    count += keys.length;
    for (const key of keys) if (key.startsWith(DUE)) owners.add(key.slice(DUE.length));
    const rows = keys.filter((key) => ROW.test(key));
    for (const owner of await Promise.all(rows.map((row) => client.hGet(row, 'owner')))) owners.add(owner ?? '');
  }
  if (count === 0) return undefined;
  for (const server of await client.zRange(SERVERS, 0, -1)) owners.add(server.replace(/#.*$/s, ''));
  const found = { address, count };
  if (instance === undefined) return { ...found, kept: 'the data folder does not say which server this was' };
  if (owners.size === 0) return { ...found, kept: 'nothing in them says whose they are' };
  const others = [...owners].filter((owner) => owner !== instance);
  return others.length === 0 ? found : { ...found, kept: 'another server has keys there, too' };
}

/** Each key at least once. */
async function* batches(client: Client): AsyncIterable<string[]> {
  let cursor = '0';
  do {
    const reply = await client.scan(cursor, { MATCH: PATTERN, COUNT: SCAN_COUNT });
    cursor = reply.cursor;
    const { keys } = reply;
    if (keys.length > 0) yield keys;
  } while (cursor !== '0');
}

async function withClient(
  url: string,
  work: (client: Client) => Promise<FoundKeys | undefined>,
): Promise<FoundKeys | undefined> {
  const address = addressOf(url);
  const kept = (why: string): FoundKeys => ({ address, count: 0, kept: why });
  if (!LOOPBACK.test(new URL(url).hostname)) return kept('it is on another machine, where others may use it');
  const client = connectTo(url);
  try {
    await client.connect();
    return await work(client);
  } catch (error) {
    return kept(`it does not answer (${messageOf(error)})`);
  } finally {
    client.destroy();
  }
}

function connectTo(url: string) {
  const socket = { connectTimeout: CONNECT_MS, reconnectStrategy: false as const };
  const client = createClient({ url, disableOfflineQueue: true, socket });
  client.on('error', () => undefined); // `connect` and the commands reject with it
  return client;
}

function addressOf(url: string): string {
  const address = redisAddress(url);
  return /\/\d+$/.test(address) ? address : `${address.replace(/\/$/, '')}/0`;
}
