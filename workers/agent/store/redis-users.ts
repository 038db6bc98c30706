/** The names of users in Redis: one sorted set, ordered by name. Agent threads. */
import { userKey } from './redis-indexes.js';
import type { RedisLink } from './redis-link.js';
import { IN_TIME, script } from './redis-scripts.js';
import { escapeText, unescapeText } from './row-codec.js';
import { COMPLETE, type UserNames } from './user-names.js';

/** All scores are 0, so that it is sorted by name. Like the other indexes it lies outside the sessions' hash slots. */
export const USERS_KEY = 'fairlead:users';

/** Names of one command. */
const AT_ONCE = 500;

/** KEYS names, index of the user. ARGV 2 user → {'ok', now} | {'late', now}. Atomic, so that no session is made in between. */
const FORGET = script(
  'forget-name',
  `${IN_TIME}
if not redis.call('ZRANGE', KEYS[2], 0, 0)[1] then redis.call('ZREM', KEYS[1], ARGV[2]) end
return {'ok', now}`,
);

export class RedisUsers implements UserNames {
  readonly #link: Pick<RedisLink, 'call'>;

  constructor(link: Pick<RedisLink, 'call'>) {
    this.#link = link;
  }

  async list(after: string, limit: number): Promise<string[]> {
    const from = `(${after === '' ? COMPLETE : escapeText(after)}`;
    const range = [USERS_KEY, from, '+', 'BYLEX', 'LIMIT', '0', String(limit)];
    const names = await this.#link.call('listUsers', (call) => call.send<string[]>(['ZRANGE', ...range]));
    return names.map(unescapeText);
  }

  async note(users: readonly string[]): Promise<void> {
    await this.#add(users.map(escapeText));
  }

  async forget(user: string): Promise<void> {
    await this.#link.call('forgetName', (call) => call.write(FORGET, [USERS_KEY, userKey(user)], [escapeText(user)]));
  }

  async isComplete(): Promise<boolean> {
    const found = await this.#link.call('usersComplete', (call) =>
      call.send<string | number | null>(['ZSCORE', USERS_KEY, COMPLETE]),
    );
    return found !== null;
  }

  setComplete(): Promise<void> {
    return this.#add([COMPLETE]);
  }

  async #add(names: readonly string[]): Promise<void> {
    for (let first = 0; first < names.length; first += AT_ONCE) {
      const members = names.slice(first, first + AT_ONCE).flatMap((name) => ['0', name]);
      await this.#link.call('noteUsers', (call) => call.send(['ZADD', USERS_KEY, ...members]));
    }
  }
}
