/** Routes of /v1/admin/sessions… and /v1/admin/system: what operators see, and what administrators may do to sessions. Main thread. */
import type { SessionSize } from '../../../workers/agent/contract/sessions.js';
import { audited, auditedAs } from '../../shared/audit.js';
import { FairleadError } from '../../shared/errors.js';
import type { AgentRequestName, Agents } from '../../threads/agents.js';
import { noBody } from '../frames.js';
import { REQUEST_TIMEOUT_MS } from '../hub.js';
import { del, get, post, type Route, type RouteCall } from '../router.js';
import { toSessionId } from '../session-id.js';
import { beforeOf, DELETE_TIMEOUT_MS, limitOf } from './sessions.js';

export interface AdminSessionParts {
  agents: Agents;
  /** `auth.support` */
  support: boolean;
  /** What the server has and may have now; no content. */
  system: () => Promise<object>;
}

export function adminSessionRoutes({ agents, support, system }: AdminSessionParts): Route[] {
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
        const cursor = query.get('cursor') || undefined;
        const page = { limit: limitOf(query), ...(user && { user }), ...(cursor && { cursor }) };
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
        await ask(session, 'delete-session', { session, user }, DELETE_TIMEOUT_MS);
        call.exchange.empty(204);
      },
      { access: 'admin' },
    ),
    post(
      '/v1/admin/sessions/:session/cancel',
      noBody,
      async (call) => {
        const { session, user } = await sizeOf(call);
        await recordAct(call, 'turn_cancelled', { session, user });
        await ask(session, 'cancel-turn', { session, user });
        call.exchange.json(200, { session });
      },
      { access: 'admin' },
    ),
    get(
      '/v1/admin/sessions/:session/history',
      async (call) => {
        if (!support) {
          const told = 'auth.support is false: nobody reads the sessions of others';
          throw new FairleadError('ERR_FORBIDDEN', told);
        }
        const { exchange, query, user: admin, who } = call;
        const before = beforeOf(query);
        const limit = limitOf(query);
        const { session, user } = await sizeOf(call);
        // Recorded and told before anything is read: a look that cannot be is none.
        await audited({ what: 'support_look', ...auditedAs(admin, who), session, about: { owner: user } });
        await ask(session, 'tell-look', { session, admin });
        const page = { session, user, limit, ...(before === undefined ? {} : { before }) };
        const { json, first, next } = await ask(session, 'read-history-page', page);
        const rest = next === undefined ? '' : `,"next":${JSON.stringify(next)}`;
        exchange.answer(200, 'application/json', `{"transcript":${json},"first":${first}${rest}}`);
      },
      { access: 'admin' },
    ),
  ];
}

function recordAct({ user: admin, who }: RouteCall, act: string, of: { session: string; user: string }): Promise<void> {
  return audited({ what: 'admin', ...auditedAs(admin, who), session: of.session, about: { act, owner: of.user } });
}
