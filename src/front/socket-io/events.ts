/** The wire protocol's frames and events as Socket.IO's events, under the names that clients of Socket.IO know. Pure. Main thread. */
import type { ServerEvent } from '../../shared/protocol.js';

export interface Emitted {
  name: string;
  data: Record<string, unknown>;
  /** Where a client that has got this goes on. Socket.IO's client keeps it, and sends it when it comes back. */
  offset?: string;
}

/** Every other event keeps its own name. */
const NAMES: Partial<Record<ServerEvent['type'], string>> = {
  'session:ready': 'system:ready',
  'turn:start': 'agent:thinking',
  'turn:waiting': 'agent:thinking',
  'thinking:delta': 'agent:thinking',
  text: 'agent:response',
  'tool:result': 'tool:output',
  error: 'agent:error',
};

/** `replays`: what came after the client's position follows. `json`: an event as the raw socket sends it. */
export function toEmitted(json: string, replays: boolean): Emitted[] {
  const event = JSON.parse(json) as ServerEvent;
  const { type, ...data } = event;
  const emitted: Emitted = { name: NAMES[type] ?? type, data };
  if (event.type === 'session:ready') {
    emitted.data['sessionId'] = event.session;
    // With a replay on its way, `seq` is not the client's position yet.
    if (!replays || event.reset) emitted.offset = String(event.seq);
    return [emitted];
  }
  if ('seq' in event) emitted.offset = String(event.seq);
  if (event.type === 'tool:result') emitted.data['text'] = textOf(event.content);
  if (event.type !== 'turn:end' || !event.error) return [emitted];
  return [{ name: 'agent:error', data: { turn: event.turn, ...event.error } }, emitted];
}

/** The frame that an event means, not checked yet. What no frame has is kept, so that the check names it. */
export function toFrame(name: unknown, [body, ...more]: readonly unknown[]): Record<string, unknown> {
  const type = String(name);
  return { ...fieldsOf(type, body), ...(more.length > 0 && { more }), type };
}

function fieldsOf(type: string, body: unknown): object {
  if (body === undefined || body === null) return {};
  if (typeof body === 'object' && !Array.isArray(body)) return body;
  return type === 'message' && typeof body === 'string' ? { text: body } : { data: body };
}

function textOf(content: readonly { type: string }[]): string {
  return content.flatMap((block) => ('text' in block && typeof block.text === 'string' ? [block.text] : [])).join('\n');
}
