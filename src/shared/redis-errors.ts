/** What errors of Redis and of its client mean to an operator. Pure; agent threads, main thread and command line. */
import { ErrorReply } from 'redis';

/** Redis refuses our credentials, or a command: a retry changes nothing until somebody does. */
const REFUSED = /^(NOAUTH|WRONGPASS|NOPERM|ERR AUTH|ERR unknown command|ERR DB index|NOPROTO)/;
/** A reply to the handshake that no retry will change. */
export function isRefusal(error: unknown): error is Error {
  return error instanceof ErrorReply && REFUSED.test(error.message);
}

/** What is wrong and what the operator must do, after “Redis at ADDRESS …”. */
export function startProblem(error: unknown): { what: string; todo: string } {
  const said = redisMessage(error);
  if (/^(NOAUTH|WRONGPASS|NOPERM|ERR AUTH)/.test(said)) {
    return {
      what: `does not let us in (${said})`,
      todo: 'put the right user and password in store.redisUrl (REDIS_URL)',
    };
  }
  if (/^(ERR unknown command|NOPROTO|is version)/.test(said)) {
    return { what: `is too old (${said})`, todo: 'Redis 6.2 or newer is needed' };
  }
  if (said.startsWith('LOADING')) return { what: 'is still loading its data', todo: 'wait until it is done' };
  const todo = 'start it, correct store.redisUrl (REDIS_URL), or leave that empty for the embedded store';
  if (error instanceof ErrorReply) return { what: `cannot be used (${said})`, todo };
  return { what: `does not answer (${codesOf(error).join(', ') || said})`, todo };
}

/** For a name with several addresses, Node wraps one error per address. */
function codesOf(error: unknown): string[] {
  const errors: NodeJS.ErrnoException[] = error instanceof AggregateError ? error.errors : [error];
  return [...new Set(errors.flatMap(({ code }) => (typeof code === 'string' ? [code] : [])))];
}

export function redisMessage(error: unknown): string {
  // For a name with several addresses, Node wraps one error per address.
  if (error instanceof AggregateError) return error.errors.map(redisMessage).join(', ');
  return error instanceof Error ? error.message : String(error);
}
