/** The blocks that a session is streaming now, for clients that join midway: no durable event holds them yet. Agent threads. */
import type { StreamingEvent, TurnWait, TurnWaiting } from '../../../src/shared/protocol.js';

type BlockKind = 'text' | 'thinking';

interface LiveBlock {
  kind: BlockKind;
  turn: number;
  text: string;
}

export class LiveText {
  /** Block number → its text so far. Cleared when the answer is stored or the turn ends. */
  readonly #blocks = new Map<number, LiveBlock>();
  /** Why the turn waits now, and until when, ms on the clock of `performance.now()`. */
  #waiting: { turn: number; reason: TurnWait; until: number | undefined } | undefined;

  /** Returns the event that says so. The next text ends the wait, and so does `clear`. */
  wait(turn: number, reason: TurnWait, retryAfterMs: number | undefined): TurnWaiting {
    const until = retryAfterMs === undefined ? undefined : performance.now() + retryAfterMs;
    this.#waiting = { turn, reason, until };
    return waitingEvent(this.#waiting);
  }

  /** Returns the delta as an event; `offset` is the block's length before it. */
  append(kind: BlockKind, turn: number, block: number, text: string): StreamingEvent {
    this.#waiting = undefined;
    const live = this.#blocks.get(block);
    if (!live) {
      this.#blocks.set(block, { kind, turn, text });
      return { type: `${kind}:delta`, turn, block, offset: 0, text };
    }
    const offset = live.text.length;
    live.text += text;
    return { type: `${kind}:delta`, turn, block, offset, text };
  }

  /** Returns each block whole, at offset 0, and the wait, if there is one. */
  snapshot(): (StreamingEvent | TurnWaiting)[] {
    const blocks = [...this.#blocks].map(
      ([block, { kind, turn, text }]) => ({ type: `${kind}:delta`, turn, block, offset: 0, text }) as const,
    );
    return this.#waiting ? [...blocks, waitingEvent(this.#waiting)] : blocks;
  }

  /** Returns the text that a broken or cancelled stream leaves, in block order. */
  partialText(): { block: number; text: string }[] {
    return [...this.#blocks]
      .filter(([, live]) => live.kind === 'text' && live.text.trim() !== '')
      .map(([block, live]) => ({ block, text: live.text }));
  }

  clear(): void {
    this.#blocks.clear();
    this.#waiting = undefined;
  }

  endWait(): void {
    this.#waiting = undefined;
  }
}

function waitingEvent({
  turn,
  reason,
  until,
}: {
  turn: number;
  reason: TurnWait;
  until: number | undefined;
}): TurnWaiting {
  const event = { type: 'turn:waiting', turn, reason } as const;
  return until === undefined ? event : { ...event, retryAfterMs: Math.max(0, Math.round(until - performance.now())) };
}
