/** What errors of Redis and of its client mean to an operator. Pure; agent threads, main thread and command line. */
import { ErrorReply } from 'redis';

/** Redis refuses our credentials, or a command: a retry changes nothing until somebody does. */
const REFUSED = /^(NOAUTH|WRONGPASS|NOPERM|ERR AUTH|ERR unknown command|ERR DB index|NOPROTO)/;

/** What Redis says of a command that the user may not run, also in a script and before Redis 7, or that was renamed. */
const NOT_ALLOWED = /\bNOPERM\b|permission|can't (run|access)|unknown (redis )?command/i;

/** A server that answers, and that no time makes usable. The message goes on after “Redis at ADDRESS …”. */
export class RedisUnfit extends Error {
  readonly todo: string;

  constructor(what: string, todo: string) {
    super(what);
    this.todo = todo;
  }
}

/** A reply to the handshake that no retry will change. */
export function isRefusal(error: unknown): error is Error {
  return error instanceof RedisUnfit || (error instanceof ErrorReply && REFUSED.test(error.message));
}

/** A script's refusals have no code of their own, so the words tell. */
export function isNotAllowed(message: string): boolean {
  return NOT_ALLOWED.test(message);
}

/** What is wrong and what the operator must do, after “Redis at ADDRESS …”. */
export function startProblem(error: unknown, url: string): { what: string; todo: string } {
  if (error instanceof RedisUnfit) return { what: error.message, todo: error.todo };
  const said = redisMessage(error);
  if (/^(NOAUTH|WRONGPASS|ERR AUTH)/.test(said)) {
    return {
      what: `does not let us in (${said})`,
      todo: 'put the right user and password in store.redisUrl (REDIS_URL)',
    };
  }
  if (said.startsWith('NOPERM')) {
    const command = commandOf(said);
    if (command !== undefined) return lacking([command], said);
    return {
      what: `does not let its user reach the store's keys (${said})`,
      todo: 'allow them with `ACL SETUSER … ~fairlead:*`',
    };
  }
  if (/^(ERR unknown command|NOPROTO)/.test(said)) return { what: `is too old (${said})`, todo: TOO_OLD };
  if (said.startsWith('LOADING')) return { what: 'is still loading its data', todo: 'wait until it is done' };
  const todo = 'start it, correct store.redisUrl (REDIS_URL), or leave that empty for the embedded store';
  if (error instanceof ErrorReply) return { what: `cannot be used (${said})`, todo };
  const what = `does not answer (${codesOf(error).join(', ') || said})`;
  // A Redis without TLS waits in silence for the rest of what it takes for a command. A refused connection is no matter of TLS.
  const mayLackTls = url.startsWith('rediss:') && !codesOf(error).includes('ECONNREFUSED');
  return { what, todo: mayLackTls ? `${PLAIN}; else ${todo}` : todo };
}

const PLAIN = 'if this port does not speak TLS, write redis:// in place of rediss://';

export const TOO_OLD = 'Redis 6.2 or newer is needed';

/** The user of `store.redisUrl` may not do all that the store does. */
export function lacking(commands: readonly string[], said: string): { what: string; todo: string } {
  const names = commands.map((name) => `+${name.toLowerCase()}`).join(' ');
  return {
    what: `does not let its user do all that the store needs: ${commands.join(', ')} (${said})`,
    todo: `allow it with \`ACL SETUSER … ~fairlead:* ${names}\``,
  };
}

/** Redis names the command in a refusal. */
function commandOf(said: string): string | undefined {
  return /'([\w|-]+)' command/.exec(said)?.[1];
}

export function redisMessage(error: unknown): string {
  // For a name with several addresses, Node wraps one error per address.
  if (error instanceof AggregateError) return error.errors.map(redisMessage).join(', ');
  return error instanceof Error ? error.message : String(error);
}

/** For a name with several addresses, Node wraps one error per address. */
function codesOf(error: unknown): string[] {
  const errors: NodeJS.ErrnoException[] = error instanceof AggregateError ? error.errors : [error];
  return [...new Set(errors.flatMap(({ code }) => (typeof code === 'string' ? [code] : [])))];
}
