/** The list of users: what the store has, and who only has tokens, connections or a block. */
import t from 'tap';
import { firstNames, UserList, type UserListParts } from '../../../src/admin/user-list.js';
import type { ListUsersRequest, ListUsersResult } from '../../../workers/agent/contract/usage.js';

/** A store with these users, whose pages look at `looked` names at most. */
function storeOf(names: readonly string[], looked = Infinity) {
  const request = async (_key: string, _name: string, { after, limit }: ListUsersRequest): Promise<ListUsersResult> => {
    const rest = names.filter((name) => name > after);
    const page = rest.slice(0, Math.min(limit, looked));
    const users = page.map((user) => ({ user, sessions: 1, lastSeenAt: 5 }));
    return { users, ...(page.length < rest.length && { next: page.at(-1)! }) };
  };
  return { request } as unknown as UserListParts['agents'];
}

function credentialsOf(tokens: Record<string, number>, blocked: readonly string[]) {
  return {
    tokens: {
      users: () => Object.keys(tokens),
      heldBy: (user: string) => ({ tokens: tokens[user] ?? 0, lastUsedAt: 9 }),
    },
    blocked: {
      names: () => [...blocked],
      get: (user: string) => (blocked.includes(user) ? { since: 1, by: 'root' } : undefined),
    },
  } as unknown as NonNullable<UserListParts['credentials']>;
}

async function all(list: UserList, limit: number): Promise<string[]> {
  const found: string[] = [];
  for (let after = ''; ;) {
    const { users, next } = await list.page(after, limit);
    if (users.length > limit) throw new Error('a page is too long');
    found.push(...users.map(({ user }) => user));
    if (next === undefined) return found;
    if (next <= after) throw new Error(`the list does not get on: ${next}`);
    after = next;
  }
}

t.test('each user comes once and in order, wherever they are known from, at every length of a page', async (t) => {
  const list = new UserList({
    agents: storeOf(['bob', 'cy', 'eve', 'max'], 2),
    presence: { users: new Map([['ada', 1], ['cy', 2], ['zoe', 1]]) }, // prettier-ignore
    credentials: credentialsOf({ bob: 2, ned: 1, tim: 1 }, ['fay', 'max']),
  });
  const everybody = ['ada', 'bob', 'cy', 'eve', 'fay', 'max', 'ned', 'tim', 'zoe'];
  for (const limit of [1, 2, 3, 4, 100]) t.same(await all(list, limit), everybody, `${limit}`);
  const [ada, bob, cy] = (await list.page('', 3)).users;
  t.same(ada, { user: 'ada', sessions: 0, sockets: 1, tokens: 0, lastSeenAt: 9 });
  t.same(bob, { user: 'bob', sessions: 1, sockets: 0, tokens: 2, lastSeenAt: 9 });
  t.match(cy, { sockets: 2, sessions: 1 });
  t.match((await list.page('eve', 1)).users, [{ user: 'fay', blocked: { by: 'root' } }]);
});

t.test('of 100,000 names a page holds and sorts few', async (t) => {
  const names = Array.from(
    { length: 100_000 },
    (_, index) => `user${String((index * 7919) % 100_000).padStart(5, '0')}`,
  );
  let held = 0;
  const except = { has: () => (held++, false) };
  const wanted = { after: 'user00009', upTo: undefined, limit: 3, except };
  t.same(firstNames(names, wanted), ['user00010', 'user00011', 'user00012']);
  t.ok(held < 1_000, `${held} names were kept for a while`);
  t.same(firstNames(names, { ...wanted, upTo: 'user00010' }), ['user00010']);
  t.same(firstNames(['b', 'a', 'b', 'a'], { ...wanted, after: '' }), ['a', 'b'], 'each once');
});
