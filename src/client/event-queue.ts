/** Events that wait for their reader, with a bound. Pieces of one text that wait together become one. */
import { keyOf } from './assembly.js';
import type { SessionEvent } from './session-event.js';

interface Queued {
  event: SessionEvent;
  chars: number;
}

export class EventQueue {
  readonly #maxChars: number;
  #events: Queued[] = [];
  #next = 0;
  #chars = 0;
  #wake: (() => void) | undefined;

  constructor(maxChars: number) {
    this.#maxChars = maxChars;
  }

  get isFull(): boolean {
    return this.#chars > this.#maxChars;
  }

  /** So that a reader who is slow is not sent away again at once. */
  get hasRoom(): boolean {
    return this.#chars <= this.#maxChars / 2;
  }

  push(event: SessionEvent, chars: number): void {
    const last = this.#events.length > this.#next ? this.#events.at(-1) : undefined;
    const joined = last && join(last.event, event);
    if (last && joined) {
      last.event = joined;
      last.chars += chars;
    } else this.#events.push({ event, chars });
    this.#chars += chars;
    this.wake();
  }

  shift(): SessionEvent | undefined {
    const first = this.#events[this.#next];
    if (first === undefined) return undefined;
    this.#next++;
    this.#chars -= first.chars;
    if (this.#next === this.#events.length || this.#next > 1_000) {
      this.#events = this.#events.slice(this.#next);
      this.#next = 0;
    }
    return first.event;
  }

  clear(): void {
    this.#events = [];
    this.#next = 0;
    this.#chars = 0;
    this.wake();
  }

  /** Resolves at the next event, and at `wake`. One reader at a time. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  wake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

/** One event in place of two pieces that follow each other in the same text. */
function join(one: SessionEvent, two: SessionEvent): SessionEvent | undefined {
  if (!('offset' in one && 'offset' in two) || two.offset !== one.offset + one.text.length) return undefined;
  return keyOf(one) === keyOf(two) ? { ...one, text: one.text + two.text } : undefined;
}
