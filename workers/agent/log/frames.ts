/** Converts events to frames for the log and for clients, and log entries back to frames. Pure; agent threads. */
import type { DurableEvent, ServerEvent } from '../../../src/shared/protocol.js';
import { toJson, withoutHalves } from '../../../src/shared/to-json.js';
import type { OutFrame } from '../contract/sessions.js';
import type { LoggedEvent } from '../store/store.js';

/** How `durableFrame` begins its JSON. */
const HEAD = /^\{"type":"([\w:]+)","seq":\d+(?:,"turn":(\d+))?/;

/** The frame of an event that is not logged: a streaming event, or one for a single subscriber. */
export function passingFrame(event: Exclude<ServerEvent, DurableEvent>): OutFrame {
  return { json: toJson(event), seq: 0, ...labelsOf(event) };
}

/** `type`, `seq` and `turn` come first, where `loggedFrame` and people who read the wire look for them. */
export function durableFrame(event: DurableEvent, seq: number): OutFrame {
  const head = labelsOf(event);
  const { type, ...fields } = event;
  return { json: toJson({ type, seq, turn: head.turn, ...fields }), seq, ...head };
}

/** Parses an entry only if it does not begin as `durableFrame` writes it, since a replay may be megabytes long. */
export function loggedFrame({ seq, json: stored }: LoggedEvent): OutFrame {
  const json = withoutHalves(stored); // earlier versions stored them
  const [, type, turn] = HEAD.exec(json) ?? [];
  if (type !== undefined && turn !== undefined) return { json, seq, type, turn: Number(turn) };
  if (type !== undefined && !json.includes('"turn":')) return { json, seq, type };
  return { json, seq, ...labelsOf(JSON.parse(json) as { type: string }) }; // 0.1.0 wrote `turn` in the event's own place
}

function labelsOf(event: { type: string; turn?: number }): Pick<OutFrame, 'type' | 'turn'> {
  return event.turn === undefined ? { type: event.type } : { type: event.type, turn: event.turn };
}
