/** Routes of POST …/messages and GET …/events: a turn, or all events of a session, over HTTP. Main thread. */
import { randomUUID } from 'node:crypto';
import type { Logger } from '../../shared/log.js';
import { badFrame, messageBody, toUserBlocks } from '../frames.js';
import type { Agents } from '../../threads/agents.js';
import type { Exchange } from '../http.js';
import { attach, REQUEST_TIMEOUT_MS, type Hub, type Subscriber } from '../hub.js';
import { drainingError, type Presence } from '../presence.js';
import { get, post, type Route, type RouteCall } from '../router.js';
import { ofCall } from './sessions.js';
import { parseSeq } from '../session-id.js';
import { EventsReader } from '../events-reader.js';
import type { RequestRate } from '../request-rate.js';
import type { Heartbeats } from '../sse.js';
import { JsonTurnReader, SseTurnReader, type TurnReader } from '../turn-readers.js';

export interface TurnParts {
  agents: Agents;
  hub: Hub;
  presence: Presence;
  /** Of each user. */
  reads: Pick<RequestRate, 'take'>;
  heartbeats: Heartbeats;
  maxUnsentBytes: number;
  log: Logger;
}

export function turnRoutes(parts: TurnParts): Route[] {
  return [
    post('/v1/sessions/:session/messages', messageBody, (call, body) => runMessage(parts, call, body)),
    get('/v1/sessions/:session/events', (call) => streamEvents(parts, call), { noHead: true }),
  ];
}

async function runMessage(
  parts: TurnParts,
  call: RouteCall,
  body: { id?: string | undefined; text?: string | undefined; content?: Parameters<typeof toUserBlocks>[0]['content'] },
): Promise<void> {
  if (parts.presence.draining) throw drainingError();
  const of = ofCall(call);
  const { exchange, person, who } = call;
  // Without an id from the client we give one, to find the message's acceptance among the session's events.
  const id = body.id ?? `http-${randomUUID()}`;
  const reader: TurnReader = wantsSse(exchange)
    ? new SseTurnReader(exchange, id, { ...parts, of, person })
    : new JsonTurnReader(exchange, id, person);
  enter(parts, of.user, of.session, exchange, reader);
  await attach(parts, { ...of, who, resumed: true }, reader, (frames) => reader.attached(frames));
  if (!reader.open) return;
  const accepted = await parts.agents.request(
    of.session,
    'submit-message',
    { ...of, who, id, requestId: exchange.head.requestId, content: toUserBlocks(body) },
    { timeoutMs: REQUEST_TIMEOUT_MS },
  );
  if (!accepted.duplicate || reader.turn !== 0 || !reader.open) return;
  // The message was accepted before: answer with the events of its turn from the log, which is a read.
  const tooOften = parts.reads.take(of.user);
  if (tooOften) throw tooOften;
  const { frames } = await parts.agents.request(
    of.session,
    'attach',
    { ...of, who, after: 0, resumed: true },
    { timeoutMs: REQUEST_TIMEOUT_MS },
  );
  if (reader.open) reader.again(accepted.turn, frames);
}

async function streamEvents(parts: TurnParts, call: RouteCall): Promise<void> {
  const of = ofCall(call);
  const { exchange, person, who } = call;
  // The header is newer than `after`: an EventSource reconnects with the URL that it began with.
  const given = exchange.head.lastEventId || call.query.get('after') || undefined;
  const after = given === undefined ? undefined : parseSeq(given);
  if (given !== undefined && after === undefined) {
    throw badFrame('after and Last-Event-ID must be an integer of 0 or more');
  }
  const reader = new EventsReader(exchange, { ...parts, of, person });
  enter(parts, of.user, of.session, exchange, reader);
  await attach(parts, { ...of, who, after, resumed: true }, reader, (frames) => reader.attached(frames));
}

/** Counts the reader until its request ends. ERR_TOO_MANY_SOCKETS, ERR_UNAVAILABLE, ERR_DRAINING. */
function enter(parts: TurnParts, user: string, session: string, exchange: Exchange, reader: Subscriber): void {
  const full = parts.presence.enter(user, reader);
  if (full) throw full;
  exchange.onClose(() => {
    parts.hub.unsubscribe(session, reader);
    parts.presence.leave(user, reader);
  });
}

function wantsSse({ head }: Exchange): boolean {
  return /(^|[\s,])text\/event-stream\b/i.test(head.accept);
}
