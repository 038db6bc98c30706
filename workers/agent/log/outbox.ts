/**
 * Batches frames for clients: those of one turn of the event loop cross to the main thread as one message, and pieces that only
 * continue a text wait some milliseconds for those of other sessions. Agent threads.
 */
import { setImmediate as immediate } from 'node:timers/promises';
import type { StreamingEvent } from '../../../src/shared/protocol.js';
import type { OutFrame, SessionFrames } from '../contract/sessions.js';
import { passingFrame } from './frames.js';

type Entry = OutFrame | StreamingEvent;

/** Each message wakes the main thread, which costs more than the pieces in it. No eye sees a text's continuation so much later. */
const GATHER_MS = 5;

export class Outbox {
  readonly #post: (batch: SessionFrames[]) => void;
  #bySession = new Map<string, Entry[]>();
  #scheduled: NodeJS.Immediate | undefined;
  /** While only continuations wait. */
  #gathering: NodeJS.Timeout | undefined;
  #postedAt = -Infinity;

  constructor(post: (batch: SessionFrames[]) => void) {
    this.#post = post;
  }

  /** Adds a whole frame: a durable event that is in the store, or an error. */
  push(session: string, frame: OutFrame): void {
    this.#scheduled ??= setImmediate(() => this.flush());
    this.#entries(session).push(frame);
  }

  /** Adds a piece of streaming text; it joins the last frame if it continues that one's text. */
  streaming(session: string, event: StreamingEvent): void {
    if (event.offset === 0) this.#scheduled ??= setImmediate(() => this.flush());
    else this.#gather();
    const entries = this.#entries(session);
    const last = entries.at(-1);
    if (last && 'text' in last && continues(last, event)) last.text += event.text;
    else entries.push({ ...event });
  }

  /** Posts what was pushed so far, so that it precedes what is posted next. */
  flush(): void {
    if (this.#scheduled) clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    if (this.#bySession.size === 0) return;
    this.#postedAt = performance.now();
    const batch: SessionFrames[] = [];
    for (const [session, entries] of this.#bySession) batch.push({ session, frames: entries.map(toFrame) });
    this.#bySession = new Map();
    this.#post(batch);
  }

  /** Resolves when what was pushed so far is posted: for code that is about to block the event loop. */
  async sent(): Promise<void> {
    if (this.#scheduled)
      await immediate(); // runs after the flush, which was scheduled earlier
    else this.flush();
  }

  #gather(): void {
    if (this.#scheduled || this.#gathering) return;
    const rest = this.#postedAt + GATHER_MS - performance.now();
    if (rest > 0) this.#gathering = setTimeout(() => this.flush(), rest);
    else this.#scheduled = setImmediate(() => this.flush());
  }

  #entries(session: string): Entry[] {
    let entries = this.#bySession.get(session);
    if (!entries) {
      entries = [];
      this.#bySession.set(session, entries);
    }
    return entries;
  }
}

function toFrame(entry: Entry): OutFrame {
  return 'text' in entry ? passingFrame(entry) : entry;
}

function continues(last: StreamingEvent, next: StreamingEvent): boolean {
  if (last.type !== next.type || last.offset + last.text.length !== next.offset) return false;
  if (last.type === 'tool:output' && next.type === 'tool:output') {
    return last.callId === next.callId && last.stream === next.stream;
  }
  return last.type !== 'tool:output' && next.type !== 'tool:output' && last.block === next.block;
}
