/** Every user whom this installation knows, by name: from the store, the credentials and the connections of this server. Main thread. */
import type { ListUsersResult, StoredUser } from '../../workers/agent/contract/usage.js';
import type { Credentials } from '../credentials/credentials.js';
import type { BlockRecord } from '../credentials/records.js';
import type { Agents } from '../threads/agents.js';
import type { Erasure, Erasures } from './erasures.js';

/** The store may go through the sessions of an older version first. */
const LIST_MS = 30_000;

export interface KnownUser {
  user: string;
  sessions: number;
  /** Connections at this server. */
  sockets: number;
  /** Made here, and not revoked. */
  tokens: number;
  /** ms since the epoch; absent: never, as far as anybody knows. */
  lastSeenAt?: number;
  blocked?: BlockRecord;
  /** They are on their way out. */
  deleting?: Erasure;
}

export interface UserListParts {
  agents: Pick<Agents, 'request'>;
  /** How many connections each user has here. */
  presence: { readonly users: ReadonlyMap<string, number> };
  credentials?: Pick<Credentials, 'tokens' | 'blocked'> | undefined;
  erasures?: Pick<Erasures, 'all' | 'get'> | undefined;
}

export class UserList {
  readonly #parts: UserListParts;

  constructor(parts: UserListParts) {
    this.#parts = parts;
  }

  /** `after`: `next` of the page before, or ''. A page may be short and have a `next`. ERR_UNAVAILABLE. */
  async page(after: string, limit: number): Promise<{ users: KnownUser[]; next?: string }> {
    const { agents } = this.#parts;
    const stored = await agents.request(after, 'list-users', { after, limit }, { timeoutMs: LIST_MS });
    const byName = new Map(stored.users.map((user) => [user.user, user]));
    // Those whom the store has not: of the names that its page covers, so that no page is longer than it.
    const others = firstNames(this.#names(), { after, upTo: stored.next, limit: limit + 1, except: byName });
    const names = [...byName.keys(), ...others].toSorted();
    const shown = names.slice(0, limit);
    const next = names.length > limit ? shown.at(-1) : stored.next;
    return { users: shown.map((name) => this.#known(name, byName.get(name))), ...(next !== undefined && { next }) };
  }

  *#names(): Iterable<string> {
    const { presence, credentials, erasures } = this.#parts;
    yield* presence.users.keys();
    if (credentials) {
      yield* credentials.tokens.users();
      yield* credentials.blocked.names();
    }
    for (const [user] of erasures?.all() ?? []) yield user;
  }

  #known(user: string, stored: StoredUser | undefined): KnownUser {
    const { presence, credentials, erasures } = this.#parts;
    const { tokens, lastUsedAt } = credentials?.tokens.heldBy(user) ?? { tokens: 0, lastUsedAt: 0 };
    const seen = Math.max(stored?.lastSeenAt ?? 0, lastUsedAt);
    const blocked = credentials?.blocked.get(user);
    const deleting = erasures?.get(user);
    return {
      user,
      sessions: stored?.sessions ?? 0,
      sockets: presence.users.get(user) ?? 0,
      tokens,
      ...(seen > 0 && { lastSeenAt: seen }),
      ...(blocked && { blocked }),
      ...(deleting && { deleting }),
    };
  }
}

interface Wanted {
  after: string;
  /** The last name of the range; absent: it has no end. */
  upTo: ListUsersResult['next'];
  limit: number;
  except: { has(name: string): boolean };
}

/** The first names of a range, each once and in order, without holding or sorting all of them. */
export function firstNames(names: Iterable<string>, { after, upTo, limit, except }: Wanted): string[] {
  let found = new Set<string>();
  let last = upTo;
  for (const name of names) {
    if (name <= after || (last !== undefined && name > last) || except.has(name)) continue;
    found.add(name);
    if (found.size < 2 * limit) continue;
    const first = [...found].toSorted().slice(0, limit);
    last = first.at(-1);
    found = new Set(first);
  }
  return [...found].toSorted().slice(0, limit);
}
