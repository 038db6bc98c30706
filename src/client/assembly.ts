/** Makes streamed text exact: passes each part on once and in order, also when it comes twice or the client joins midway. Pure. */
import type { DurableEvent, StreamingEvent } from '../shared/protocol.js';

type TextBlock = Extract<DurableEvent, { type: 'text' }>;

export class Assembly {
  /** `turn:block:type` or `callId:stream` → UTF-16 units passed on so far; cleared at the end of the turn or call. */
  readonly #seen = new Map<string, number>();

  /** The new part of a streaming event; undefined when nothing is new, or when the text before it is missing. */
  delta(event: StreamingEvent): StreamingEvent | undefined {
    const key = keyOf(event);
    const seen = this.#seen.get(key) ?? 0;
    // The durable `text` brings a block with a gap whole. Thinking and output never come again, so their gaps stay.
    if (event.offset > seen && event.type === 'text:delta') return undefined;
    const skip = Math.max(0, seen - event.offset);
    if (skip >= event.text.length) return undefined;
    this.#seen.set(key, event.offset + event.text.length);
    return skip === 0 ? event : { ...event, offset: event.offset + skip, text: event.text.slice(skip) };
  }

  /** The part of a finished block that was not streamed. */
  rest({ turn, block, text }: TextBlock): StreamingEvent | undefined {
    return this.delta({ type: 'text:delta', turn, block, offset: 0, text });
  }

  forgetTurn(turn: number): void {
    for (const key of this.#seen.keys()) if (key.startsWith(`turn ${turn} `)) this.#seen.delete(key);
  }

  forgetCall(callId: string): void {
    for (const stream of ['stdout', 'stderr', 'progress']) this.#seen.delete(`call ${callId} ${stream}`);
  }

  clear(): void {
    this.#seen.clear();
  }
}

/** Names the text that the piece belongs to. */
export function keyOf(event: StreamingEvent): string {
  return event.type === 'tool:output'
    ? `call ${event.callId} ${event.stream}`
    : `turn ${event.turn} ${event.block} ${event.type}`;
}
