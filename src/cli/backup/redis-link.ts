/** A connection to Redis for a backup or a restore, and what Redis refuses in words. Command line's process. */
import { createClient, ErrorReply, RESP_TYPES, type RedisArgument } from 'redis';
import { FairleadError } from '../../shared/errors.js';
import { isNotAllowed, lacking, redisMessage, RedisUnfit, startProblem } from '../../shared/redis-errors.js';
import { greetRedis } from '../../shared/redis-probe.js';
import { redisAddress } from '../../shared/redis-url.js';

const CONNECT_MS = 5_000;
/** Longer than Redis needs for the largest session. */
const SILENCE_MS = 60_000;
const BINARY = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };

/** All that backup and restore send beside what the store does. */
export const BACKUP_COMMANDS = { backup: ['SCAN', 'DUMP', 'PTTL'], restore: ['SCAN', 'RESTORE'] } as const;

export interface RedisDoor {
  readonly address: string;
  send<T>(args: RedisArgument[]): Promise<T>;
  /** Bulk strings as Buffers. */
  sendBinary<T>(args: RedisArgument[]): Promise<T>;
}

/** ERR_START in words for whatever Redis refuses; errors of `work` itself are thrown on. */
export async function withRedis<T>(
  url: string,
  what: keyof typeof BACKUP_COMMANDS,
  work: (redis: RedisDoor) => Promise<T>,
): Promise<T> {
  const client = createClient({
    url,
    RESP: 3,
    name: 'fairlead-backup',
    maintNotifications: 'disabled',
    disableOfflineQueue: true,
    // Between two commands a file may be read for minutes.
    pingInterval: SILENCE_MS / 4,
    socket: { connectTimeout: CONNECT_MS, socketTimeout: SILENCE_MS, reconnectStrategy: false },
  });
  const address = `Redis at ${redisAddress(url)}`;
  let broken: unknown;
  client.on('error', (error: unknown) => {
    broken = error;
  });
  const inWords = (error: unknown): FairleadError => {
    const cause = error instanceof ErrorReply || error instanceof RedisUnfit ? error : (broken ?? error);
    const said = redisMessage(cause);
    const { what: why, todo } =
      cause instanceof ErrorReply && isNotAllowed(said)
        ? lacking(BACKUP_COMMANDS[what], said)
        : startProblem(cause, url);
    return new FairleadError('ERR_START', `${address} ${why}: ${todo}`, { cause });
  };
  const wrapped = <R>(reply: Promise<R>): Promise<R> =>
    reply.catch((error: unknown) => {
      throw inWords(error);
    });
  try {
    await wrapped(client.connect().then(() => greetRedis((args) => client.sendCommand(args))));
    return await work({
      address,
      send: <R>(args: RedisArgument[]) => wrapped(client.sendCommand<R>(args)),
      sendBinary: <R>(args: RedisArgument[]) => wrapped(client.sendCommand<R>(args, BINARY)),
    });
  } finally {
    client.destroy();
  }
}
