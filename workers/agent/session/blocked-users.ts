/** The users who are blocked, as the main thread tells this thread: none of their turns runs. Agent threads. */
import { FairleadError } from '../../../src/shared/errors.js';

export class BlockedUsers {
  #users: ReadonlySet<string> = new Set();

  /** Resolves with those who were not blocked before. */
  replace(users: readonly string[]): ReadonlySet<string> {
    const before = this.#users;
    this.#users = new Set(users);
    return new Set(users.filter((user) => !before.has(user)));
  }

  has(user: string): boolean {
    return this.#users.has(user);
  }

  /** ERR_BLOCKED. */
  refuse(user: string): void {
    if (this.#users.has(user)) throw new FairleadError('ERR_BLOCKED', 'this user is blocked');
  }
}

/** What starts something for a user. The main thread lets no blocked user ask; a request that was on its way is refused here. */
const STARTING = [
  'create-session',
  'attach',
  'submit-message',
  'answer-approval',
  'answer-elicitation',
  'mcp-exchange',
  'mcp-request',
  'hold-workspace',
] as const;

type Handlers = Partial<Record<(typeof STARTING)[number], (request: never) => unknown>>;

/** The same handlers; those that start something refuse a blocked user. */
export function refusingBlocked<T extends Handlers>(handlers: T, blocked: Pick<BlockedUsers, 'refuse'>): T {
  const guarded: Handlers = { ...handlers };
  for (const name of STARTING) {
    const handle = handlers[name];
    if (!handle) continue;
    guarded[name] = async (request: never) => {
      blocked.refuse((request as { user: string }).user);
      return handle(request);
    };
  }
  return guarded as T;
}
