/** What Redis and its client say when they fail: whether it passes, and what it means to a caller or an operator. Pure; runs in agent threads. */
import { ClientClosedError, DisconnectsClientError, ErrorReply } from 'redis';
import { FairleadError } from '../../../src/shared/errors.js';
import { isForeign, storeUnavailable } from './deadline.js';

/** Redis is there and cannot serve now, but may in a moment. */
const PASSING = wordsOf('OOM READONLY LOADING BUSY UNKILLABLE MASTERDOWN CLUSTERDOWN TRYAGAIN MISCONF NOREPLICAS');
/** It does not let us in: nothing that another try would change. */
const LOCKED = wordsOf('NOAUTH WRONGPASS NOPERM');
const REFUSED = /^(NOAUTH|WRONGPASS|NOPERM|ERR AUTH|ERR unknown command|ERR DB index|NOPROTO)/;
/** Before Redis 7 a script's error has the code of what failed in it at its end. */
const IN_SCRIPT = /^ERR Error running script.*: -([A-Z]+) /;
/** The client's limit of waiting commands has no class of its own. */
const QUEUE_FULL = 'The queue is full';

/**
 * Whether another try may succeed. A full queue sheds what is new; what was sent before and has lost its answer stays,
 * since nobody knows whether it was done.
 */
export function passes(error: unknown, tries: number): boolean {
  if (error instanceof ErrorReply) return PASSING.has(replyWord(error.message));
  if (error instanceof ClientClosedError || error instanceof DisconnectsClientError) return false;
  return isForeign(error) && (tries > 1 || error.message !== QUEUE_FULL);
}

export function asStoreError(error: unknown): unknown {
  if (error instanceof ErrorReply) {
    const word = replyWord(error.message);
    if (PASSING.has(word) || LOCKED.has(word))
      return storeUnavailable(`Redis cannot serve now: ${error.message}`, error);
    return new FairleadError('ERR_INTERNAL', `Redis refused a command: ${error.message}`, { cause: error });
  }
  // The connection, or its full queue.
  return isForeign(error) ? storeUnavailable(`Redis is away: ${redisMessage(error)}`, error) : error;
}

/** The code of an error reply. */
export function replyWord(message: string): string {
  return IN_SCRIPT.exec(message)?.[1] ?? message.split(' ', 1)[0] ?? '';
}

/** A reply to the handshake that no waiting will change. */
export function isRefusal(error: unknown): error is Error {
  return error instanceof ErrorReply && REFUSED.test(error.message);
}

/** For the operator, of a start that failed. */
export function whatToDo(error: unknown): string {
  const said = redisMessage(error);
  if (/^(NOAUTH|WRONGPASS|NOPERM|ERR AUTH)/.test(said)) {
    return `does not let us in (${said}): put the right user and password in store.redisUrl (REDIS_URL)`;
  }
  if (/^(ERR unknown command|NOPROTO|is version)/.test(said)) {
    return `is too old (${said}): Redis 6.2 or newer is needed`;
  }
  if (said.startsWith('LOADING')) return 'is still loading its data: start again when it is done';
  return `cannot be used (${said}): start it, correct store.redisUrl (REDIS_URL), or leave that empty for the embedded store`;
}

export function redisMessage(error: unknown): string {
  // Node's error for a name with several addresses has its messages inside.
  if (error instanceof AggregateError) return error.errors.map(redisMessage).join(', ');
  return error instanceof Error ? error.message : String(error);
}

/** The URL without user and password. What cannot be parsed is not shown: the secret may be anywhere in it. ERR_START. */
export function addressOf(url: string): string {
  if (!URL.canParse(url)) {
    throw new FairleadError(
      'ERR_START',
      'store.redisUrl (REDIS_URL) is no URL: redis://[USER:PASSWORD@]HOST[:PORT][/DB] is expected',
    );
  }
  const { protocol, host, pathname, username, password } = new URL(url);
  if (protocol !== 'redis:' && protocol !== 'rediss:') {
    throw new FairleadError(
      'ERR_START',
      `store.redisUrl (REDIS_URL) starts with ${protocol}//, not redis:// or rediss://`,
    );
  }
  if (!/^\/?\d*$/.test(pathname))
    throw new FairleadError('ERR_START', `store.redisUrl (REDIS_URL): ${pathname} is no database number`);
  try {
    decodeURIComponent(username + password);
  } catch {
    throw new FairleadError('ERR_START', 'store.redisUrl (REDIS_URL): % in user or password must be written %25');
  }
  return `${protocol}//${host}${pathname}`;
}

function wordsOf(text: string): Set<string> {
  return new Set(text.split(' '));
}
