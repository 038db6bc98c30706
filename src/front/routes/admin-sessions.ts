/** Routes of /v1/admin/sessions… and /v1/admin/system: what operators see, and what administrators may do to sessions. Main thread. */
import type { SessionFilter, SessionSize } from '../../../workers/agent/contract/sessions.js';
import { audited, auditedAs } from '../../shared/audit.js';
import { FairleadError } from '../../shared/errors.js';
import type { AgentRequestName, Agents } from '../../threads/agents.js';
import type { AdminDesk } from '../../admin/desk.js';
import { badFrame, noBody } from '../frames.js';
import { REQUEST_TIMEOUT_MS } from '../hub.js';
import { del, get, post, type Route, type RouteCall } from '../router.js';
import { toSessionId } from '../session-id.js';
import { beforeOf, limitOf } from './sessions.js';

export interface AdminSessionParts {
  agents: Agents;
  desk: AdminDesk;
  /** `auth.support` */
  support: () => boolean;
  /** What the server has and may have now; no content. */
  system: () => Promise<object>;
}

export function adminSessionRoutes({ agents, desk, support, system }: AdminSessionParts): Route[] {
  const ask = <K extends AgentRequestName>(
    session: string,
    name: K,
    body: Parameters<typeof agents.request<K>>[2],
    timeoutMs = REQUEST_TIMEOUT_MS,
  ): ReturnType<typeof agents.request<K>> => agents.request(session, name, body, { timeoutMs });
  const sizeOf = ({ params }: RouteCall): Promise<SessionSize> => {
    const session = toSessionId(params['session'] ?? '');
    return ask(session, 'session-size', { session });
  };

  return [
    get('/v1/admin/system', async ({ exchange }) => exchange.json(200, await system()), { access: 'operator' }),
    get(
      '/v1/admin/sessions',
      async ({ exchange, query }) => {
        const user = query.get('user') || undefined;
        const cursor = query.get('after') || query.get('cursor') || undefined;
        const page = { limit: limitOf(query), ...filterOf(query), ...(user && { user }), ...(cursor && { cursor }) };
        exchange.json(200, await ask(user ?? '', 'all-sessions', page));
      },
      { access: 'operator' },
    ),
    get('/v1/admin/sessions/:session', async (call) => call.exchange.json(200, await sizeOf(call)), {
      access: 'operator',
    }),
    del(
      '/v1/admin/sessions/:session',
      async (call) => {
        const { session, user } = await sizeOf(call);
        await recordAct(call, 'session_deleted', { session, user });
        await desk.onSession({ do: 'delete', session, by: auditedAs(call.user, call.who) });
        call.exchange.empty(204);
      },
      { access: 'admin' },
    ),
    post(
      '/v1/admin/sessions/:session/end',
      noBody,
      async (call) => {
        const { session, user } = await sizeOf(call);
        await recordAct(call, 'session_ended', { session, user });
        await desk.onSession({ do: 'end', session });
        call.exchange.json(200, { session });
      },
      { access: 'admin' },
    ),
    post(
      '/v1/admin/sessions/:session/cancel',
      noBody,
      async (call) => {
        const { session, user } = await sizeOf(call);
        await recordAct(call, 'turn_cancelled', { session, user });
        await desk.onSession({ do: 'cancel', session, by: auditedAs(call.user, call.who) });
        call.exchange.json(200, { session });
      },
      { access: 'admin' },
    ),
    get(
      '/v1/admin/sessions/:session/history',
      async (call) => {
        if (!support()) {
          const told = 'auth.support is false: nobody reads the sessions of others';
          throw new FairleadError('ERR_FORBIDDEN', told);
        }
        const { exchange, query, user: admin, who } = call;
        const before = beforeOf(query);
        const limit = limitOf(query);
        const { session, user } = await sizeOf(call);
        // Recorded and told before anything is read: a look that cannot be is none.
        await audited({ what: 'support_look', ...auditedAs(admin, who), session, about: { owner: user } });
        if (user !== admin) await desk.onSession({ do: 'look', session, admin });
        const page = { session, user, limit, ...(before === undefined ? {} : { before }) };
        const { json, first, next } = await ask(session, 'read-history-page', page);
        const rest = next === undefined ? '' : `,"next":${JSON.stringify(next)}`;
        exchange.answer(200, 'application/json', `{"transcript":${json},"first":${first}${rest}}`);
      },
      // A HEAD would be a look at nothing, and be told as one.
      { access: 'admin', noHead: true },
    ),
  ];
}

const STATES = ['running', 'waiting', 'idle'] as const;

/** ERR_BAD_FRAME. */
function filterOf(query: URLSearchParams): SessionFilter {
  const asked = query.get('state');
  const state = STATES.find((each) => each === asked);
  if (asked !== null && state === undefined) throw badFrame(`state: must be one of ${STATES.join(', ')}`);
  const unusedMs = numberOf(query, 'unusedMs');
  const minBytes = numberOf(query, 'minBytes');
  return {
    ...(state && { state }),
    ...(unusedMs !== undefined && { before: Date.now() - unusedMs }),
    ...(minBytes !== undefined && { minBytes }),
  };
}

function numberOf(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw badFrame(`${name}: must be an integer of 0 or more`);
  return Number(text);
}

function recordAct({ user: admin, who }: RouteCall, act: string, of: { session: string; user: string }): Promise<void> {
  return audited({ what: 'admin', ...auditedAs(admin, who), session: of.session, about: { act, owner: of.user } });
}
