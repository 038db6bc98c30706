/** The users whom the store knows, by name: who has sessions, or has used something within the last 30 days. Agent threads. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { atMost } from '../../../src/shared/abort.js';
import { errorToData, FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { dayOf, dayStart } from '../../../src/shared/utc-period.js';
import type { ListUsersRequest, ListUsersResult, StoredUser } from '../contract/usage.js';
import type { Store } from '../store/store.js';

/** Who has no session and has used nothing for so long is in the list no more. */
const SEEN_DAYS = 30;
/** Names that are looked at for one page, of which some may have nothing left. */
const MAX_LOOKED = 1_000;
/** Their reads run at once. */
const AT_ONCE = 50;
/** Sessions of one page while the index of names is completed. */
const SESSIONS_AT_ONCE = 100;
const COMPLETE_MS = 15_000;

export interface UserDirectoryOptions {
  store: Pick<Store, 'users' | 'listSessions' | 'counters' | 'ledger'>;
  log: Logger;
  now?: () => number;
}

export class UserDirectory {
  readonly #options: UserDirectoryOptions;
  #isComplete = false;
  #completing: Promise<void> | undefined;
  /** Where the next sweep goes on. */
  #swept = '';

  constructor(options: UserDirectoryOptions) {
    this.#options = options;
  }

  /** By name. ERR_UNAVAILABLE while sessions of an older version are gone through. */
  async list({ after, limit }: ListUsersRequest): Promise<ListUsersResult> {
    await this.#complete();
    const users: StoredUser[] = [];
    let at = after;
    for (let looked = 0; looked < MAX_LOOKED;) {
      const wanted = Math.min(limit - users.length, AT_ONCE);
      const names = await this.#options.store.users.list(at, wanted);
      const found = await Promise.all(names.map((user) => this.#read(user)));
      users.push(...found.filter((user) => user !== undefined));
      looked += names.length;
      await nextTurn(); // the embedded store reads without a pause
      const last = names.at(-1);
      if (last === undefined || names.length < wanted) return { users };
      at = last;
      if (users.length === limit) break;
    }
    return { users, next: at };
  }

  /** Forgets the names among the next few of which nothing is left. */
  async sweep(): Promise<void> {
    const { users } = this.#options.store;
    const names = await users.list(this.#swept, AT_ONCE);
    this.#swept = names.length < AT_ONCE ? '' : names.at(-1)!;
    await Promise.all(names.map((user) => this.#read(user)));
  }

  /** Undefined: nothing of them is left, and the name is forgotten. */
  async #read(user: string): Promise<StoredUser | undefined> {
    const { store } = this.#options;
    const [{ sessions }, newest] = await Promise.all([
      store.counters.readCounts(user),
      store.listSessions(user, { limit: 1 }),
    ]);
    const lastActiveAt = newest.sessions[0]?.lastActiveAt;
    if (sessions > 0) return { user, sessions, ...(lastActiveAt !== undefined && { lastSeenAt: lastActiveAt }) };
    const day = await this.#lastUse(user);
    if (day !== undefined) return { user, sessions, lastSeenAt: dayStart(day) };
    await store.users.forget(user);
    return undefined;
  }

  async #lastUse(user: string): Promise<number | undefined> {
    const { store, now = Date.now } = this.#options;
    const today = dayOf(now());
    for (let day = today + 1; day >= today - SEEN_DAYS; day--) {
      let used = false;
      await store.ledger.readUsage(day, { kind: 'user', name: user }, () => (used = true));
      if (used) return Math.min(day, today);
    }
    return undefined;
  }

  async #complete(): Promise<void> {
    if (this.#isComplete) return;
    this.#isComplete = await this.#options.store.users.isComplete();
    if (this.#isComplete) return;
    this.#completing ??= this.#goThrough().finally(() => (this.#completing = undefined));
    if (await atMost(COMPLETE_MS, this.#completing)) return;
    const told = 'the list of users is made from the sessions of an older version: try again in a moment';
    throw new FairleadError('ERR_UNAVAILABLE', told, { retryAfterMs: 10_000 });
  }

  /** Each thread that is asked may do it; names are noted twice then. */
  async #goThrough(): Promise<void> {
    const { store, log } = this.#options;
    try {
      for (let cursor: string | undefined; ;) {
        const page = await store.listSessions(undefined, { limit: SESSIONS_AT_ONCE, ...(cursor && { cursor }) });
        await store.users.note([...new Set(page.sessions.map(({ user }) => user))]);
        cursor = page.next;
        if (cursor === undefined) break;
        await nextTurn();
      }
      await store.users.setComplete();
      this.#isComplete = true;
    } catch (error) {
      log.warn({ err: errorToData(error).message }, 'the list of users is completed at the next try');
      throw error;
    }
  }
}
