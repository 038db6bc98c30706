/** Makes streamed text exact: whatever is streamed twice, or joined midway, is given on once and in order. Pure. */
import type { DurableEvent, StreamingEvent } from '../../shared/protocol.js';

type TextBlock = Extract<DurableEvent, { type: 'text' }>;

export class Assembly {
  /** `turn:block:type` or `callId:stream` → UTF-16 units given on so far; cleared at the turn's and the call's end. */
  readonly #seen = new Map<string, number>();

  /** The part of a streaming event that is new; undefined when all of it was seen, or when it must wait for its block. */
  delta(event: StreamingEvent): StreamingEvent | undefined {
    const key = keyOf(event);
    const seen = this.#seen.get(key) ?? 0;
    // Text before this one is missing. The finished block will bring all of it; thinking and output have no such second chance.
    if (event.offset > seen && event.type === 'text:delta') return undefined;
    const skip = Math.max(0, seen - event.offset);
    if (skip >= event.text.length) return undefined;
    this.#seen.set(key, event.offset + event.text.length);
    return skip === 0 ? event : { ...event, offset: event.offset + skip, text: event.text.slice(skip) };
  }

  /** What of a finished block was not streamed. */
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

function keyOf(event: StreamingEvent): string {
  return event.type === 'tool:output'
    ? `call ${event.callId} ${event.stream}`
    : `turn ${event.turn} ${event.block} ${event.type}`;
}
