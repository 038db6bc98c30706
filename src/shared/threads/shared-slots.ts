/**
 * Counts in memory that all threads share: how many connections each server has, so that a limit of connections is the process's.
 * Main thread and agent threads.
 *
 * A server has one word for all threads, which a compare-and-swap changes, and one for each thread alone, so that what a thread held
 * can be given back when it has died. A word is four counts of 16 bits.
 */

/** In the order of their bits. */
export type SlotCount = 'open' | 'long' | 'streams' | 'turns';

export type SlotCounts = Record<SlotCount, number>;

const SHIFT: Record<SlotCount, bigint> = { open: 0n, long: 16n, streams: 32n, turns: 48n };
const MASK = 0xffffn;
/** The top bit of a word is its sign. */
export const MAX_SLOTS = 0x7fff;

/** What each server's words and flags lie in, for so many threads. */
export function createSlots(servers: number, threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer(servers * (8 * (1 + threads) + 8 * threads));
}

/** On which threads tell each other about slots. */
export const SLOTS_CHANNEL = 'fairlead-slots';

/** A slot is free, or an idle stream holds one that is wanted. */
export type Wake = 'freed' | 'wanted';

export interface WakeMessage {
  server: number;
  wake: Wake;
}

/** Gives back what a thread held when it died, and tells those who wait. */
export function forgetThread(memory: SharedArrayBuffer, thread: number, threads: number): void {
  const servers = memory.byteLength / (8 * (1 + 2 * threads));
  const channel = new BroadcastChannel(SLOTS_CHANNEL);
  for (let server = 0; server < servers; server++) {
    const held = new SlotLedger(memory, { server, thread, threads }).forget();
    if (held) channel.postMessage({ server, wake: 'freed' } satisfies WakeMessage);
  }
  channel.close();
}

export interface LedgerPlace {
  /** Its place: see slot-places.ts. */
  server: number;
  thread: number;
  threads: number;
}

/** One server's counts, as one thread changes them. */
export class SlotLedger {
  readonly #words: BigInt64Array<SharedArrayBuffer>;
  readonly #waiting: BigInt64Array<SharedArrayBuffer>;
  readonly #own: number;

  constructor(memory: SharedArrayBuffer, { server, thread, threads }: LedgerPlace) {
    const first = server * (1 + 2 * threads);
    const words = new BigInt64Array(memory);
    this.#words = words.subarray(first, first + 1 + threads);
    this.#waiting = words.subarray(first + 1 + threads, first + 1 + 2 * threads);
    this.#own = thread;
  }

  /** Of all threads. */
  get counts(): SlotCounts {
    return unpack(Atomics.load(this.#words, 0));
  }

  /** Of this thread. */
  get own(): SlotCounts {
    return unpack(Atomics.load(this.#words, 1 + this.#own));
  }

  /** Adds one to each of these counts if they allow it, in one step of all threads. */
  take(kinds: readonly SlotCount[], isFree: (counts: SlotCounts) => boolean): boolean {
    const one = pack(kinds);
    for (;;) {
      const before = Atomics.load(this.#words, 0);
      if (!isFree(unpack(before))) return false;
      if (Atomics.compareExchange(this.#words, 0, before, before + one) !== before) continue;
      Atomics.add(this.#words, 1 + this.#own, one);
      return true;
    }
  }

  give(kinds: readonly SlotCount[]): void {
    const one = pack(kinds);
    Atomics.sub(this.#words, 1 + this.#own, one);
    Atomics.sub(this.#words, 0, one);
  }

  /** So many more requests of this thread wait for a slot. */
  noteWaiting(change: 1 | -1): void {
    Atomics.add(this.#waiting, this.#own, BigInt(change));
  }

  /** Whether requests of other threads wait. */
  get othersWait(): boolean {
    for (let thread = 0; thread < this.#waiting.length; thread++) {
      if (thread !== this.#own && Atomics.load(this.#waiting, thread) > 0n) return true;
    }
    return false;
  }

  /** The thread has died: it holds nothing and waits for nothing. Returns whether it has held anything. */
  forget(): boolean {
    Atomics.store(this.#waiting, this.#own, 0n);
    const held = Atomics.exchange(this.#words, 1 + this.#own, 0n);
    Atomics.sub(this.#words, 0, held);
    return held !== 0n;
  }
}

function pack(kinds: readonly SlotCount[]): bigint {
  return kinds.reduce((sum, kind) => sum + (1n << SHIFT[kind]), 0n);
}

function unpack(word: bigint): SlotCounts {
  const at = (kind: SlotCount): number => Number((word >> SHIFT[kind]) & MASK);
  return { open: at('open'), long: at('long'), streams: at('streams'), turns: at('turns') };
}
