/** Routes of /v1/admin/users…: who there is, what there is of a user, and what administrators do with them. Main thread. */
import type { AdminDesk } from '../../admin/desk.js';
import type { Eraser } from '../../admin/eraser.js';
import type { Erasures } from '../../admin/erasures.js';
import { UserList } from '../../admin/user-list.js';
import type { Credentials } from '../../credentials/credentials.js';
import { audited, auditedAs } from '../../shared/audit.js';
import { FairleadError } from '../../shared/errors.js';
import type { Agents } from '../../threads/agents.js';
import { badFrame, noBody } from '../frames.js';
import type { Presence } from '../presence.js';
import { sendExport, type ExportParts } from './export.js';
import { del, get, post, type Route, type RouteCall } from '../router.js';
import { actorOf, limitOf, userOf } from './admin-credentials.js';

const FACTS_MS = 30_000;
const MAX_TOKENS = 500;
const MAX_PLACE = 300;

export interface AdminUserParts {
  agents: Agents;
  desk: AdminDesk;
  presence: Pick<Presence, 'countOf' | 'users'>;
  credentials?: Credentials | undefined;
  /** Absent: users cannot be deleted. */
  eraser?: Eraser | undefined;
  erasures?: Erasures | undefined;
  /** Absent: nothing can be exported. */
  exports?: ExportParts | undefined;
  /** `auth.support` */
  support: () => boolean;
}

export function adminUserRoutes(parts: AdminUserParts): Route[] {
  const { desk, eraser, erasures, exports, support } = parts;
  const list = new UserList(parts);
  return [
    get(
      '/v1/admin/users',
      async ({ exchange, query }) => {
        exchange.json(200, await list.page(placeOf(query), limitOf(query)));
      },
      { access: 'operator' },
    ),
    get(
      '/v1/admin/users/:user',
      async (call) => {
        const user = userOf(call);
        const shown = await factsOf(user, parts);
        if (!isThere(shown)) throw noSuchUser(user);
        call.exchange.json(200, shown);
      },
      { access: 'operator' },
    ),
    post(
      '/v1/admin/users/:user/kick',
      noBody,
      async (call) => {
        const user = userOf(call);
        await record(call, 'user_kicked', user);
        call.exchange.json(200, { user, closed: await desk.kick(user) });
      },
      { access: 'admin' },
    ),
    ...(exports
      ? [
          get(
            '/v1/admin/users/:user/export',
            async (call) => {
              const user = userOf(call);
              const isOwn = user === call.user;
              if (!isOwn && !support()) {
                throw new FairleadError('ERR_FORBIDDEN', 'auth.support is false: nobody reads the sessions of others');
              }
              if (!isThere(await factsOf(user, parts))) throw noSuchUser(user);
              await record(call, 'user_exported', user);
              const reader = { user: call.user, who: call.who };
              await sendExport(call, exports, { user, ...(!isOwn && { reader }) });
            },
            // A HEAD would be a look at nothing, and be told as one.
            { access: 'admin', noHead: true },
          ),
        ]
      : []),
    ...(eraser
      ? [
          del(
            '/v1/admin/users/:user',
            async (call) => {
              const user = userOf(call);
              if (user === call.user) {
                throw new FairleadError('ERR_FORBIDDEN', 'nobody can delete themselves: another admin can');
              }
              if (!erasures?.has(user) && !isThere(await factsOf(user, parts))) throw noSuchUser(user);
              await record(call, 'user_deletion', user);
              const erased = await eraser.erase(user, actorOf(call));
              call.exchange.json(erased.deleted ? 200 : 202, { user, ...erased });
            },
            { access: 'admin' },
          ),
        ]
      : []),
  ];
}

/** ERR_BAD_FRAME for what no page has named. */
function placeOf(query: URLSearchParams): string {
  const after = query.get('after') || query.get('cursor') || '';
  if (after.length > MAX_PLACE) throw badFrame('after must be `next` of the page before');
  return after;
}

function record({ user: admin, who }: RouteCall, act: string, owner: string): Promise<void> {
  return audited({ what: 'admin', ...auditedAs(admin, who), about: { act, owner } });
}

function noSuchUser(user: string): FairleadError {
  return new FairleadError('ERR_NOT_FOUND', `there is nothing of a user ${user}`);
}

type Facts = Awaited<ReturnType<typeof factsOf>>;

function isThere({ sockets, sessions, tokens, hasUsed, blocked, deleting }: Facts): boolean {
  return sockets + sessions + tokens > 0 || hasUsed || blocked !== undefined || deleting !== undefined;
}

async function factsOf(user: string, { agents, presence, credentials, erasures }: AdminUserParts) {
  const [facts, listed] = await Promise.all([
    agents.request(user, 'user-facts', { user }, { timeoutMs: FACTS_MS }),
    credentials?.list(MAX_TOKENS, 0, user),
  ]);
  const tokens = listed?.tokens ?? [];
  const { lastActiveAt, ...rest } = facts;
  const seen = Math.max(lastActiveAt ?? 0, ...tokens.map(({ lastUsedAt = 0 }) => lastUsedAt));
  const blocked = credentials?.blocked.get(user);
  const deleting = erasures?.get(user);
  return {
    user,
    sockets: presence.countOf(user),
    tokens: tokens.length,
    ...rest,
    ...(seen > 0 && { lastSeenAt: seen }),
    ...(blocked && { blocked }),
    ...(deleting && { deleting }),
  };
}
