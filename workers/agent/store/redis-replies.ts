/** Errors of Redis and its client: whether a retry helps, and what they mean to a caller. Pure; agent threads. */
import { ClientClosedError, DisconnectsClientError, ErrorReply } from 'redis';
import { FairleadError } from '../../../src/shared/errors.js';
import { isNotAllowed, redisMessage } from '../../../src/shared/redis-errors.js';
import { isForeign, storeUnavailable } from './deadline.js';

/** Redis answers but cannot serve now; it may in a moment. */
const TRANSIENT = wordsOf('OOM READONLY LOADING BUSY UNKILLABLE MASTERDOWN CLUSTERDOWN TRYAGAIN MISCONF NOREPLICAS');
/** Redis refuses our credentials: a retry changes nothing. It may refuse a command or a key too, see `isNotAllowed`. */
const LOCKED = wordsOf('NOAUTH WRONGPASS');
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
    if (TRANSIENT.has(word) || LOCKED.has(word) || isNotAllowed(error.message)) {
      return storeUnavailable(`Redis cannot serve now: ${error.message}`, error);
    }
    return new FairleadError('ERR_INTERNAL', `Redis refused a command: ${error.message}`, { cause: error });
  }
  // The connection is lost, or the client's queue is full.
  return isForeign(error) ? storeUnavailable(`Redis cannot be reached: ${redisMessage(error)}`, error) : error;
}

/** The code of an error reply. */
export function replyWord(message: string): string {
  return IN_SCRIPT.exec(message)?.[1] ?? message.split(' ', 1)[0] ?? '';
}

function wordsOf(text: string): Set<string> {
  return new Set(text.split(' '));
}
