/**
 * Do the event loops of the threads turn? Each thread adds to a counter of its own in shared memory, and the main thread
 * looks at all of them with one timer: no messages, so that a thread that is busy is not made busier. `LoopWatch` runs in
 * the main thread, `startBeat` in the others.
 */
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';

/** Where a thread finds the counters: Node hands environment data to every thread at its start, also to Piscina's. */
const KEY = 'fairlead.loop-watch';
const MAX_BEAT_MS = 1_000;
/** So many beats without a change are no longer called healthy. */
const QUIET_BEATS = 3;

/** The docker thread's counter; agent thread N has `agentSlot(N)`. */
export const DOCKER_SLOT = 0;
export const agentSlot = (index: number): number => index + 1;

interface Shared {
  counters: SharedArrayBuffer;
  beatMs: number;
}

/** In a thread: beats until `close`. Where nobody watches it does nothing. */
export function startBeat(slot: number): { close(): void } {
  const shared = getEnvironmentData(KEY) as Shared | undefined;
  if (!shared) return { close: () => undefined };
  const counters = new Int32Array(shared.counters);
  const beat = (): void => void Atomics.add(counters, slot, 1);
  beat();
  const timer = setInterval(beat, shared.beatMs);
  timer.unref(); // it alone must not keep the thread
  return { close: () => clearInterval(timer) };
}

export interface LoopWatchOptions {
  /** Agent threads. */
  threads: number;
  /** A loop that stands still for so long hangs; 0: none is ever called so. */
  hangTimeoutMs: number;
}

interface Watched {
  slot: number;
  seen: number;
  quietMs: number;
  /** The docker thread comes up by itself, some time after it is watched: until its first beat it is not judged. */
  begun: boolean;
  told: boolean;
  limitMs: number;
  onHang: (hungMs: number) => void;
}

/** One a process: threads that start from now on beat for it. */
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
   * From the thread's first beat until `end`. `onHang` is called once, with how long the loop has stood still, in ms.
   * `patience`: so many times the limit.
   */
  watch(slot: number, onHang: (hungMs: number) => void, { begun = true, patience = 1 } = {}): { end(): void } {
    const limitMs = patience * this.#hangTimeoutMs;
    const watched: Watched = { slot, seen: this.#read(slot), quietMs: 0, begun, told: false, limitMs, onHang };
    this.#watched.add(watched);
    return { end: () => void this.#watched.delete(watched) };
  }

  /** All loops that are watched have turned lately. */
  get healthy(): boolean {
    return [...this.#watched].every(({ quietMs }) => quietMs < QUIET_BEATS * this.#beatMs);
  }

  close(): void {
    clearInterval(this.#timer);
    setEnvironmentData(KEY); // without a value it is deleted
    this.#watched.clear();
  }

  #look(): void {
    const now = performance.now();
    const passedMs = now - this.#lookedAt;
    this.#lookedAt = now;
    // The process was stopped, the machine slept, or this loop was busy: the others get a period anew before they are judged.
    const late = passedMs > 2 * this.#beatMs;
    for (const watched of this.#watched) {
      const count = this.#read(watched.slot);
      if (count !== watched.seen || late) {
        watched.begun ||= count !== watched.seen;
        watched.seen = count;
        watched.quietMs = 0;
        watched.told = false;
        continue;
      }
      if (!watched.begun) continue;
      watched.quietMs += passedMs;
      if (watched.told || this.#hangTimeoutMs === 0 || watched.quietMs < watched.limitMs) continue;
      watched.told = true;
      watched.onHang(Math.round(watched.quietMs));
    }
  }

  #read(slot: number): number {
    return Atomics.load(this.#counters, slot);
  }
}
