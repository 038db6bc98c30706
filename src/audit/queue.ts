/** Entries that wait to be written, bounded: beyond the bound they are counted, and one entry says how many are missing. Main thread. */
import type { FairleadError } from '../shared/errors.js';

/** In characters. Some hundred thousand entries: what a busy server records in minutes. */
const MAX_WAITING = 33_554_432;

export interface Caller {
  resolve: () => void;
  reject: (error: FairleadError) => void;
}

export interface Waiting {
  entry: string;
  /** Whoever waits until the entry is kept. */
  caller?: Caller;
  /** Entries that had no room when this one was made; then `entry` is not set yet. */
  missing?: { count: number; since: number };
  /** It is being written. */
  taken?: true;
}

export class AuditQueue {
  readonly #max: number;
  #waiting: Waiting[] = [];
  #size = 0;
  #missing = 0;

  constructor(max = MAX_WAITING) {
    this.#max = max;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /** Entries that were never written, since the start. */
  get missing(): number {
    return this.#missing;
  }

  /** False: there was no room for it. */
  push(entry: string, caller?: Caller): boolean {
    if (this.#size + entry.length > this.#max) {
      this.#miss();
      return false;
    }
    this.#size += entry.length;
    this.#waiting.push({ entry, ...(caller && { caller }) });
    return true;
  }

  /** Before all others. */
  pushFirst(entry: string): void {
    this.#size += entry.length;
    this.#waiting.unshift({ entry });
  }

  /** The oldest entries, `maxSize` characters or one entry; they stay in the queue. */
  peek(maxSize: number): readonly Waiting[] {
    let size = 0;
    let count = 0;
    for (const { entry } of this.#waiting) {
      size += entry.length;
      if (count > 0 && size > maxSize) break;
      count++;
    }
    const batch = this.#waiting.slice(0, count);
    for (const waiting of batch) waiting.taken = true;
    return batch;
  }

  /** The oldest `count` entries are written. */
  shift(count: number): void {
    for (const { entry, missing } of this.#waiting.splice(0, count)) if (!missing) this.#size -= entry.length;
  }

  /** Takes out what somebody waits for, since it does not happen now. */
  refuseCallers(error: FairleadError): void {
    const refused = this.#waiting.filter(({ caller }) => caller);
    this.#waiting = this.#waiting.filter(({ caller }) => !caller);
    for (const { entry, caller } of refused) {
      this.#size -= entry.length;
      caller?.reject(error);
    }
  }

  /** Nobody waits any longer; the entries stay. */
  releaseCallers(): void {
    for (const waiting of this.#waiting) {
      waiting.caller?.resolve();
      delete waiting.caller;
    }
  }

  /** The count stands where the missing entries would. */
  #miss(): void {
    this.#missing++;
    const last = this.#waiting.at(-1);
    if (last?.missing && !last.taken) last.missing.count++;
    else this.#waiting.push({ entry: '', missing: { count: 1, since: Date.now() } });
  }
}
