/**
 * Shares one thread's event loop between what its servers send. A reader that sends little is read at once; those that cost
 * much are read in turns and together get a tenth of the thread, however many they are. Agent threads and docker thread.
 */

/** The readers' part of one turn of the event loop. */
const TURN_MS = 4;
/** A reader's credit: what it may cost at once, and what it gets back while it is not loud. A tool call costs about 0.1 ms. */
const CREDIT_MS = 50;
const CREDIT_PER_MS = 0.01;
/** What all readers without credit get together. */
const LOUD_PER_MS = 0.1;

export interface Reader {
  /** Reads a little; resolves without a turn of the event loop, with whether more is left. Never rejects. */
  readSome(): Promise<boolean>;
  /** A turn of the event loop has passed since the last `readSome`. */
  turned(): void;
}

interface Account {
  creditMs: number;
  at: number;
}

export class TurnShare {
  readonly #accounts = new WeakMap<Reader, Account>();
  readonly #ready = new Set<Reader>();
  /** Readers without credit, in the order in which they are read. */
  readonly #loud = new Set<Reader>();
  #loudMs = 0;
  #loudAt = performance.now();
  #spentMs = 0;
  #running = false;
  /** `#turned` is scheduled. */
  #turning = false;
  /** A timer waits until loud readers may be read. */
  #waking = false;
  readonly #read = new Set<Reader>();

  /** The reader has something to read. */
  add(reader: Reader): void {
    if (this.#ready.has(reader) || this.#loud.has(reader)) return;
    this.#file(reader);
    if (!this.#running && this.#spentMs < TURN_MS) void this.#run();
  }

  remove(reader: Reader): void {
    this.#ready.delete(reader);
    this.#loud.delete(reader);
    this.#read.delete(reader);
  }

  #file(reader: Reader): void {
    if (this.#creditOf(reader) > 0) this.#ready.add(reader);
    else this.#loud.add(reader);
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let reader = this.#next(); reader; reader = this.#next()) {
      const loud = this.#loud.delete(reader);
      this.#ready.delete(reader);
      this.#read.add(reader);
      const began = performance.now();
      const more = await reader.readSome();
      const ms = performance.now() - began;
      this.#spentMs += ms;
      if (loud) {
        this.#loudMs -= ms;
        this.#restart(reader);
      } else {
        this.#charge(reader, ms);
      }
      if (!more || !this.#read.has(reader)) continue;
      if (loud) this.#loud.add(reader);
      else this.#file(reader);
    }
    this.#running = false;
    if (this.#turning) return;
    this.#turning = true;
    setImmediate(() => this.#turned());
  }

  #turned(): void {
    this.#turning = false;
    this.#spentMs = 0;
    const read = [...this.#read];
    this.#read.clear();
    for (const reader of read) reader.turned();
    if (this.#running) return;
    if (this.#ready.size > 0) void this.#run();
    else if (this.#loud.size > 0) this.#wakeLoud();
  }

  #wakeLoud(): void {
    const waitMs = -this.#refillLoud() / LOUD_PER_MS;
    if (waitMs < 0) {
      void this.#run();
      return;
    }
    if (this.#waking) return;
    this.#waking = true;
    setTimeout(() => {
      this.#waking = false;
      if (!this.#running) void this.#run();
    }, Math.ceil(waitMs));
  }

  #next(): Reader | undefined {
    if (this.#spentMs >= TURN_MS) return undefined;
    const [ready] = this.#ready;
    if (ready) return ready;
    const [loud] = this.#loud;
    return loud && this.#refillLoud() > 0 ? loud : undefined;
  }

  #refillLoud(): number {
    const now = performance.now();
    this.#loudMs = Math.min(TURN_MS, this.#loudMs + (now - this.#loudAt) * LOUD_PER_MS);
    this.#loudAt = now;
    return this.#loudMs;
  }

  #creditOf(reader: Reader): number {
    const now = performance.now();
    const account = this.#accounts.get(reader) ?? { creditMs: CREDIT_MS, at: now };
    account.creditMs = Math.min(CREDIT_MS, account.creditMs + (now - account.at) * CREDIT_PER_MS);
    account.at = now;
    this.#accounts.set(reader, account);
    return account.creditMs;
  }

  #charge(reader: Reader, ms: number): void {
    const account = this.#accounts.get(reader);
    if (account) account.creditMs -= ms;
  }

  /** The time that it was loud gives nothing back. */
  #restart(reader: Reader): void {
    const account = this.#accounts.get(reader);
    if (account) account.at = performance.now();
  }
}

/** This thread's. */
export const turnShare = new TurnShare();
