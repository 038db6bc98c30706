/** Errors of Redis and its client: whether a retry helps, and what they mean to a caller or an operator. Pure; agent threads. */
import { ClientClosedError, DisconnectsClientError, ErrorReply } from 'redis';
import { FairleadError } from '../../../src/shared/errors.js';
import { isForeign, storeUnavailable } from './deadline.js';

/** Redis answers but cannot serve now; it may in a moment. */
const TRANSIENT = wordsOf('OOM READONLY LOADING BUSY UNKILLABLE MASTERDOWN CLUSTERDOWN TRYAGAIN MISCONF NOREPLICAS');
/** Redis refuses our credentials: a retry changes nothing. */
const LOCKED = wordsOf('NOAUTH WRONGPASS NOPERM');
const REFUSED = /^(NOAUTH|WRONGPASS|NOPERM|ERR AUTH|ERR unknown command|ERR DB index|NOPROTO)/;
/** Before Redis 7, the error of a script carries the code of the failed command inside. */
const IN_SCRIPT = /^ERR Error running script.*: -([A-Z]+) /;
/** The client's error for a full command queue has no class of its own. */
const QUEUE_FULL = 'The queue is full';

/**
 * Whether a retry may succeed. A full queue refuses new operations, but not the retry of one that has lost its reply: nobody
 * knows whether that one was done.
 */
export function isTransient(error: unknown, tries: number): boolean {
  if (error instanceof ErrorReply) return TRANSIENT.has(replyWord(error.message));
  if (error instanceof ClientClosedError || error instanceof DisconnectsClientError) return false;
  return isForeign(error) && (tries > 1 || error.message !== QUEUE_FULL);
}

export function asStoreError(error: unknown): unknown {
  if (error instanceof ErrorReply) {
    const word = replyWord(error.message);
    if (TRANSIENT.has(word) || LOCKED.has(word))
      return storeUnavailable(`Redis cannot serve now: ${error.message}`, error);
    return new FairleadError('ERR_INTERNAL', `Redis refused a command: ${error.message}`, { cause: error });
  }
  // The connection is lost, or the client's queue is full.
  return isForeign(error) ? storeUnavailable(`Redis cannot be reached: ${redisMessage(error)}`, error) : error;
}

/** The code of an error reply. */
export function replyWord(message: string): string {
  return IN_SCRIPT.exec(message)?.[1] ?? message.split(' ', 1)[0] ?? '';
}

/** A reply to the handshake that no retry will change. */
export function isRefusal(error: unknown): error is Error {
  return error instanceof ErrorReply && REFUSED.test(error.message);
}

/** What the operator must do when the start fails. */
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
  // For a name with several addresses, Node wraps one error per address.
  if (error instanceof AggregateError) return error.errors.map(redisMessage).join(', ');
  return error instanceof Error ? error.message : String(error);
}

/** The URL without user and password. ERR_START for an invalid one, which is not shown: the password may be anywhere in it. */
export function addressOf(url: string): string {
  if (!URL.canParse(url)) {
    throw new FairleadError(
      'ERR_START',
      'store.redisUrl (REDIS_URL) is not a URL: redis://[USER:PASSWORD@]HOST[:PORT][/DB] is expected',
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
    throw new FairleadError('ERR_START', `store.redisUrl (REDIS_URL): ${pathname} is not a database number`);
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
