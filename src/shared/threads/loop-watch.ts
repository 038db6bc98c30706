/**
 * Notices threads whose event loop hangs. Each thread increments a counter in shared memory, and one timer of the main thread
 * reads all counters; without messages, a busy thread does not get busier. `LoopWatch` runs in the main thread, `startBeat`
 * in the others.
 */
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';

/** The key of the counters in Node's environment data, which every new thread gets, also Piscina's. */
const KEY = 'fairlead.loop-watch';
const MAX_BEAT_MS = 1_000;
/** A loop that misses this many beats is not healthy. */
const QUIET_BEATS = 3;

/** The docker thread's counter. Agent thread N has `agentSlot(N)`. */
export const DOCKER_SLOT = 0;
export const agentSlot = (index: number): number => index + 1;

interface Shared {
  counters: SharedArrayBuffer;
  beatMs: number;
}

/** Beats for this thread until `close`. Without a LoopWatch it does nothing. */
export function startBeat(slot: number): { close(): void } {
  const shared = getEnvironmentData(KEY) as Shared | undefined;
  if (!shared) return { close: () => undefined };
  const counters = new Int32Array(shared.counters);
  const beat = (): void => void Atomics.add(counters, slot, 1);
  beat();
  const timer = setInterval(beat, shared.beatMs);
  timer.unref(); // the timer alone must not keep the thread alive
  return { close: () => clearInterval(timer) };
}

export interface LoopWatchOptions {
  /** The number of agent threads. */
  threads: number;
  /** A loop that makes no beat for this long hangs; 0: no loop counts as hanging. */
  hangTimeoutMs: number;
}

interface Watched {
  slot: number;
  seen: number;
  quietMs: number;
  /** False until the first beat: Piscina starts the docker thread some time after it is watched. */
  begun: boolean;
  told: boolean;
  toldSlow: boolean;
  limitMs: number;
  onSlow: () => void;
  onHang: (hungMs: number) => void;
}

/** One in a process; the threads that start after it beat for it. */
export class LoopWatch {
  readonly #counters: Int32Array;
  readonly #beatMs: number;
  readonly #hangTimeoutMs: number;
  readonly #watched = new Set<Watched>();
  readonly #timer: NodeJS.Timeout;
  #lookedAt = performance.now();

  constructor({ threads, hangTimeoutMs }: LoopWatchOptions) {
    const counters = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * agentSlot(threads));
    this.#counters = new Int32Array(counters);
    this.#hangTimeoutMs = hangTimeoutMs;
    this.#beatMs = hangTimeoutMs === 0 ? MAX_BEAT_MS : Math.min(MAX_BEAT_MS, Math.ceil(hangTimeoutMs / 4));
    setEnvironmentData(KEY, { counters, beatMs: this.#beatMs } satisfies Shared);
    this.#timer = setInterval(() => this.#look(), this.#beatMs);
    this.#timer.unref();
  }

  /**
   * Watches a thread until `end`. Calls `onHang` once for each hang, with its length so far in ms, and `onSlow` once at half
   * of that. `begun: false`: the thread starts later, and is watched from its first beat. `patience` multiplies the limit.
   */
  watch(
    slot: number,
    onHang: (hungMs: number) => void,
    { begun = true, patience = 1, onSlow = (): void => undefined } = {},
  ): { end(): void } {
    const limitMs = patience * this.#hangTimeoutMs;
    const seen = this.#read(slot);
    const watched: Watched = { slot, seen, quietMs: 0, begun, told: false, toldSlow: false, limitMs, onSlow, onHang };
    this.#watched.add(watched);
    return { end: () => void this.#watched.delete(watched) };
  }

  /** True when all watched loops have turned lately. */
  get healthy(): boolean {
    return [...this.#watched].every(({ quietMs }) => quietMs < QUIET_BEATS * this.#beatMs);
  }

  close(): void {
    clearInterval(this.#timer);
    setEnvironmentData(KEY); // deletes it
    this.#watched.clear();
  }

  #look(): void {
    const now = performance.now();
    const passedMs = now - this.#lookedAt;
    this.#lookedAt = now;
    // This loop itself was late, since the process was stopped or the machine slept: the others get a new period.
    const late = passedMs > 2 * this.#beatMs;
    for (const watched of this.#watched) {
      const count = this.#read(watched.slot);
      if (count !== watched.seen || late) {
        watched.begun ||= count !== watched.seen;
        watched.seen = count;
        watched.quietMs = 0;
        watched.told = false;
        watched.toldSlow = false;
        continue;
      }
      if (!watched.begun) continue;
      watched.quietMs += passedMs;
      if (!watched.toldSlow && this.#hangTimeoutMs > 0 && watched.quietMs >= watched.limitMs / 2) {
        watched.toldSlow = true;
        watched.onSlow();
      }
      if (watched.told || this.#hangTimeoutMs === 0 || watched.quietMs < watched.limitMs) continue;
      watched.told = true;
      watched.onHang(Math.round(watched.quietMs));
    }
  }

  #read(slot: number): number {
    return Atomics.load(this.#counters, slot);
  }
}
