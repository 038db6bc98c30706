/** Asks whether Redis is there and can be the store. Main thread and command line; agent threads greet their own connection the same. */
import { createClient, ErrorReply } from 'redis';
import { withDeadline } from './abort.js';
import { isRefusal, lacking, RedisUnfit, startProblem, TOO_OLD } from './redis-errors.js';
import { tryRights, type Send } from './redis-rights.js';
import { redisAddress } from './redis-url.js';

export type RedisAnswer =
  | {
      state: 'usable';
      version: string;
      /** The `maxmemory-policy` by which a full Redis drops keys. Absent: it drops none, or hides its settings. */
      evicts?: string;
    }
  /** It may be back at any moment. `what`: a sentence; `todo`: what an operator can do. */
  | { state: 'away'; what: string; todo: string }
  /** Somebody must act first. */
  | { state: 'unfit'; what: string; todo: string };

const ANSWER_MS = 3_000;
const OLDEST = 602;

/** What HELLO says of the server. */
interface Greeting {
  version: string;
  /** `standalone`, `cluster` or `sentinel`. */
  mode: string;
  /** `master` or `replica`; a Sentinel has none. */
  role?: string;
}

/** It answers, and may become usable by itself. */
class RedisNotYet extends Error {
  readonly todo: string;

  constructor(what: string, todo: string) {
    super(what);
    this.todo = todo;
  }
}

/** The first commands of a connection. Rejects with RedisUnfit for a server of the wrong kind, else with Redis's own error. */
export async function greetRedis(send: Send): Promise<Greeting> {
  // HELLO needs no right, and is answered while Redis loads its data; PING is not.
  const greeting = await send<Greeting>(['HELLO', '3']);
  const { version, mode } = greeting;
  if (mode === 'sentinel') {
    const todo =
      'put the address of the primary that it watches in store.redisUrl (REDIS_URL): `SENTINEL GET-MASTER-ADDR-BY-NAME` tells it';
    throw new RedisUnfit('is a Sentinel, which holds no data', todo);
  }
  if (mode === 'cluster') {
    const todo = 'name a Redis with `cluster-enabled no` in store.redisUrl (REDIS_URL)';
    throw new RedisUnfit('is one node of a Redis Cluster, which holds a part of all keys', todo);
  }
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major * 100 + minor < OLDEST) throw new RedisUnfit(`is too old (version ${version})`, TOO_OLD);
  await send(['PING']);
  return greeting;
}

/** As `greetRedis`, then looks whether it is the primary and takes all that the store writes. */
async function examine(send: Send): Promise<{ version: string; evicts?: string }> {
  const { version, role } = await greetRedis(send);
  if (role !== undefined && role !== 'master') {
    const todo = 'put the address of the primary in store.redisUrl (REDIS_URL), or promote this one';
    throw new RedisUnfit('is a read-only replica', todo);
  }
  const rights = await tryRights(send);
  if (rights.state === 'no-writes') {
    throw new RedisNotYet(`takes no writes (${rights.said})`, 'give it memory and disk, or name another');
  }
  if (rights.state === 'lacks') {
    const { what, todo } = lacking(rights.commands, rights.said);
    throw new RedisUnfit(what, todo);
  }
  const policy = await maxmemoryPolicy(send);
  return { version, ...(policy !== undefined && policy !== 'noeviction' && { evicts: policy }) };
}

/** The store does not need it, so a user who may not ask is no problem. */
async function maxmemoryPolicy(send: Send): Promise<string | undefined> {
  try {
    return /^maxmemory_policy:(\S+)/m.exec(await send<string>(['INFO', 'memory']))?.[1];
  } catch (error) {
    if (error instanceof ErrorReply) return undefined;
    throw error;
  }
}

/** Rejects only with the signal's reason. `url` is a valid one. */
export async function probeRedis(url: string, signal: AbortSignal): Promise<RedisAnswer> {
  const client = createClient({
    url,
    RESP: 3,
    name: 'fairlead',
    maintNotifications: 'disabled',
    disableOfflineQueue: true,
    socket: { connectTimeout: ANSWER_MS, reconnectStrategy: false },
  });
  let broken: unknown;
  client.on('error', (error: unknown) => {
    broken = error;
  });
  const at = `Redis at ${redisAddress(url)}`;
  try {
    const late = (): Error => new Error(`no answer within ${ANSWER_MS} ms`);
    const found = await withDeadline({ timeoutMs: ANSWER_MS, late, signal }, async () => {
      await client.connect();
      return examine((args) => client.sendCommand(args));
    });
    return { state: 'usable', ...found };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RedisNotYet) return { state: 'away', what: `${at} ${error.message}`, todo: error.todo };
    const cause = error instanceof ErrorReply || error instanceof RedisUnfit ? error : (broken ?? error);
    const { what, todo } = startProblem(cause, url);
    return { state: isRefusal(cause) ? 'unfit' : 'away', what: `${at} ${what}`, todo };
  } finally {
    client.destroy();
  }
}
