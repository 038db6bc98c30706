/** The blocks that a session is streaming now, for clients that join midway: no durable event holds them yet. Agent threads. */
import type { StreamingEvent } from '../../../src/shared/protocol.js';

type BlockKind = 'text' | 'thinking';

interface LiveBlock {
  kind: BlockKind;
  turn: number;
  text: string;
}

export class LiveText {
  /** Block number → its text so far. Cleared when the answer is stored or the turn ends. */
  readonly #blocks = new Map<number, LiveBlock>();

  /** Returns the delta as an event; `offset` is the block's length before it. */
  append(kind: BlockKind, turn: number, block: number, text: string): StreamingEvent {
    const live = this.#blocks.get(block);
    if (!live) {
      this.#blocks.set(block, { kind, turn, text });
      return { type: `${kind}:delta`, turn, block, offset: 0, text };
    }
    const offset = live.text.length;
    live.text += text;
    return { type: `${kind}:delta`, turn, block, offset, text };
  }

  /** Returns each block whole, at offset 0. */
  snapshot(): StreamingEvent[] {
    return [...this.#blocks].map(([block, { kind, turn, text }]) => ({
      type: `${kind}:delta`,
      turn,
      block,
      offset: 0,
      text,
    }));
  }

  /** Returns the text that a broken or cancelled stream leaves, in block order. */
  partialText(): { block: number; text: string }[] {
    return [...this.#blocks]
      .filter(([, live]) => live.kind === 'text' && live.text.trim() !== '')
      .map(([block, live]) => ({ block, text: live.text }));
  }

  clear(): void {
    this.#blocks.clear();
  }
}
