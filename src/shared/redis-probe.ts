/** Asks once whether Redis is there and can be the store. Main thread and command line; agent threads ask their own connection the same. */
import { createClient, ErrorReply } from 'redis';
import { withDeadline } from './abort.js';
import { isRefusal, startProblem } from './redis-errors.js';
import { redisAddress } from './redis-url.js';

export type RedisAnswer =
  | { state: 'usable'; version: string }
  /** It may be back at any moment. `what`: a sentence; `todo`: what an operator can do. */
  | { state: 'away'; what: string; todo: string }
  /** Somebody must act first. */
  | { state: 'unfit'; what: string; todo: string };

const ANSWER_MS = 3_000;
const OLDEST = 602;

type Send = <T>(args: string[]) => Promise<T>;

/** A fault of the server that no retry mends. */
export class RedisUnfit extends Error {}

/**
 * The first commands of a connection: what we need is there. Resolves with Redis's version. Rejects with Redis's own error, or
 * with RedisUnfit. PING comes first, since Redis answers INFO while it loads.
 */
export async function greetRedis(send: Send): Promise<string> {
  await send(['PING']);
  const info = await send<string>(['INFO', 'server']);
  const [, version = '0', major = '0', minor = '0'] = /redis_version:((\d+)\.(\d+)\S*)/.exec(info) ?? [];
  if (Number(major) * 100 + Number(minor) < OLDEST) throw new RedisUnfit(`is version ${major}.${minor}`);
  return version;
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
  try {
    const late = (): Error => new Error(`no answer within ${ANSWER_MS} ms`);
    const version = await withDeadline({ timeoutMs: ANSWER_MS, late, signal }, async () => {
      await client.connect();
      return greetRedis((args) => client.sendCommand(args));
    });
    return { state: 'usable', version };
  } catch (error) {
    signal.throwIfAborted();
    const cause = error instanceof ErrorReply || error instanceof RedisUnfit ? error : (broken ?? error);
    const { what, todo } = startProblem(cause);
    const state = isRefusal(cause) || cause instanceof RedisUnfit ? 'unfit' : 'away';
    return { state, what: `Redis at ${redisAddress(url)} ${what}`, todo };
  } finally {
    client.destroy();
  }
}
