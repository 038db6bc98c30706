/** Routes of /v1/sessions…: create, list, read and delete sessions, and answer what they ask. Main thread. */
import type { SessionRef } from '../../../workers/agent/contract/sessions.js';
import type { Logger } from '../../shared/log.js';
import type { AgentRequestName, Agents } from '../../threads/agents.js';
import {
  approvalBody,
  badFrame,
  defined,
  elicitationBody,
  noBody,
  renameBody,
  restartBody,
  sessionBody,
} from '../frames.js';
import { REQUEST_TIMEOUT_MS, RESTART_TIMEOUT_MS } from '../hub.js';
import { drainingError, type Presence } from '../presence.js';
import { del, get, post, type Route, type RouteCall } from '../router.js';
import { HistoryStreams } from '../history-streams.js';
import { newSessionId, parseSeq, toSessionId } from '../session-id.js';

const DEFAULT_PAGE = 50;
const MAX_PAGE = 200;
/** A delete waits until the running turn has stopped and the sandbox is removed. */
export const DELETE_TIMEOUT_MS = 60_000;

export function sessionRoutes({ agents, presence, log }: { agents: Agents; presence: Presence; log: Logger }): Route[] {
  const histories = new HistoryStreams({ agents, presence, log });
  const ask = <K extends AgentRequestName>(
    session: string,
    name: K,
    body: Parameters<typeof agents.request<K>>[2],
    timeoutMs = REQUEST_TIMEOUT_MS,
  ): ReturnType<typeof agents.request<K>> => agents.request(session, name, body, { timeoutMs });

  return [
    post('/v1/sessions', sessionBody, async ({ exchange, user, who }, body) => {
      if (presence.draining) throw drainingError();
      const session = newSessionId();
      const made = await ask(session, 'create-session', { user, session, who, ...defined(body) });
      exchange.json(201, made, [['Location', `/v1/sessions/${session}`]]);
    }),
    get('/v1/images', async ({ exchange, user, who }) => {
      exchange.json(200, await ask(user, 'list-images', { user, who }));
    }),
    get('/v1/sessions', async ({ exchange, user, query }) => {
      const cursor = query.get('cursor') || undefined;
      const page = { user, limit: limitOf(query), ...(cursor === undefined ? {} : { cursor }) };
      exchange.json(200, await ask(user, 'list-sessions', page));
    }),
    get('/v1/waiting', async ({ exchange, user }) => exchange.json(200, await ask(user, 'list-waiting', { user }))),
    get('/v1/sessions/:session', async (call) => {
      const of = ofCall(call);
      call.exchange.json(200, await ask(of.session, 'get-session', of));
    }),
    post('/v1/sessions/:session', renameBody, async (call, { title }) => {
      const of = ofCall(call);
      call.exchange.json(200, await ask(of.session, 'rename-session', { ...of, who: call.who, title }));
    }),
    del('/v1/sessions/:session', async (call) => {
      const of = ofCall(call);
      await ask(of.session, 'delete-session', { ...of, who: call.who }, DELETE_TIMEOUT_MS);
      call.exchange.empty(204);
    }),
    get('/v1/sessions/:session/history', async (call) => {
      const of = ofCall(call);
      const { query, exchange } = call;
      if (!query.has('limit') && !query.has('before')) return histories.stream(exchange, of, call.person);
      const before = beforeOf(query);
      const page = { ...of, limit: limitOf(query), ...(before === undefined ? {} : { before }) };
      const { json, first, next } = await ask(of.session, 'read-history-page', page);
      const rest = next === undefined ? '' : `,"next":${JSON.stringify(next)}`;
      return exchange.answer(200, 'application/json', `{"transcript":${json},"first":${first}${rest}}`);
    }),
    get('/v1/sessions/:session/approvals/:call', async (call) => {
      const of = ofCall(call);
      call.exchange.json(200, await ask(of.session, 'read-call', { ...of, callId: call.params['call']! }));
    }),
    post('/v1/sessions/:session/approvals/:call', approvalBody, async (call, body) => {
      const of = ofCall(call);
      const callId = call.params['call']!;
      await ask(of.session, 'answer-approval', { ...of, who: call.who, callId, ...defined(body) });
      call.exchange.json(200, { callId, approved: body.approved });
    }),
    post('/v1/sessions/:session/elicitations/:request', elicitationBody, async (call, body) => {
      const of = ofCall(call);
      const requestId = call.params['request']!;
      await ask(of.session, 'answer-elicitation', { ...of, who: call.who, requestId, ...defined(body) });
      call.exchange.json(200, { requestId, action: body.action });
    }),
    post('/v1/sessions/:session/sandbox/restart', restartBody, async (call, { discard = false }) => {
      const of = ofCall(call);
      const { restarted } = await ask(
        of.session,
        'restart-sandbox',
        { ...of, who: call.who, discard },
        RESTART_TIMEOUT_MS,
      );
      call.exchange.json(200, { session: of.session, restarted });
    }),
    post('/v1/sessions/:session/cancel', noBody, async (call) => {
      const of = ofCall(call);
      await ask(of.session, 'cancel-turn', { ...of, who: call.who });
      call.exchange.json(200, { session: of.session });
    }),
  ];
}

/** ERR_NO_SUCH_SESSION when the path names none that can exist. */
export function ofCall({ user, params }: RouteCall): SessionRef {
  return { user, session: toSessionId(params['session'] ?? '') };
}

/** The number of a message. */
export function beforeOf(query: URLSearchParams): number | undefined {
  const text = query.get('before');
  if (text === null) return undefined;
  const before = parseSeq(text);
  if (before === undefined) throw badFrame('before must be an integer of 0 or more');
  return before;
}

export function limitOf(query: URLSearchParams): number {
  const text = query.get('limit');
  if (text === null) return DEFAULT_PAGE;
  const limit = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (limit < 1) throw badFrame('limit must be an integer of 1 or more');
  return Math.min(limit, MAX_PAGE);
}
