/** Says when the chat does not come back after a lost connection, and why, in words for a person at a terminal. Pure. Command line's process. */
import type { Loss } from '../../client/connection.js';
import { UpgradeRefused } from '../../client/node-socket.js';
import { FairleadError } from '../../shared/errors.js';
import { CLOSE, PROTOCOL } from '../../shared/protocol.js';
import { cutWords, tlsWords } from '../tls-words.js';

/** The error when a reconnect is useless after this loss; undefined when it may help. `ws`: the server's address. */
export function verdict(loss: Loss, ws: string): FairleadError | undefined {
  const { code, cause, why, wasLive } = loss;
  if (cause instanceof FairleadError) return cause;
  const final = finalClose(code, why) ?? finalAnswer(cause instanceof UpgradeRefused ? cause.status : 0);
  if (final || wasLive || code === CLOSE.overloaded || code === CLOSE.draining) return final;
  // A first connect without an answer is a wrong address or a server that is not started: an error, not a retry.
  const tls = wordsOfTls(cause, ws);
  return new FairleadError(
    'ERR_UNAVAILABLE',
    tls ??
      `no server answers there (${why}): start one with \`fairlead serve\`, or give its address: fairlead chat URL`,
  );
}

/** Why TLS came to no connection: a matter of the address or of trust, not of a server that is away. */
export function wordsOfTls(cause: unknown, ws: string): string | undefined {
  return cause === undefined ? undefined : (tlsWords(cause) ?? cutWords(cause, ws));
}

function finalClose(code: number, why: string): FairleadError | undefined {
  switch (code) {
    case CLOSE.unauthorized:
      return new FairleadError(
        'ERR_UNAUTHORIZED',
        'the server does not accept this token, or needs one: set --token or FAIRLEAD_TOKEN; the operator makes one with `fairlead token NAME`. Without auth.tokens it takes the token in its data folder (FAIRLEAD_DATA)',
      );
    case CLOSE.noSuchSession:
      return new FairleadError(
        'ERR_NO_SUCH_SESSION',
        'no such session for this user: it has expired, was deleted or belongs to another user; leave --session out to start a new one',
      );
    case CLOSE.blocked:
      return new FairleadError('ERR_BLOCKED', why);
    case CLOSE.ended:
      return new FairleadError('ERR_UNAVAILABLE', `${why}: come back with --session`);
    case CLOSE.notThisProtocol:
      return new FairleadError('ERR_BAD_FRAME', `the server does not take this: ${why || `no ${PROTOCOL}`}`);
    default:
      return undefined;
  }
}

/** `status`: of a refused upgrade, else 0. */
function finalAnswer(status: number): FairleadError | undefined {
  if (status === 0 || status === 429 || status >= 500) return undefined;
  return status === 403
    ? new FairleadError('ERR_FORBIDDEN_ORIGIN', 'the server, or a proxy in front of it, refuses this client (403)')
    : new FairleadError('ERR_NOT_FOUND', `no Fairlead server at that address (it answers ${status})`);
}
