/**
 * How fast sandboxes may print, all together. Docker's daemon serves them all: one that prints without end, read as fast
 * as it prints, makes every other's answers three times slower. Docker thread.
 */

const WINDOW_MS = 20;
/** 13 MB a second, shared by those who print more than a little. */
const WINDOW_BYTES = 262_144;
/** What any one may print in a window, however many are loud: answers are shorter than that. */
const MIN_SHARE_BYTES = 16_384;

/** One stream's place in it. */
export interface ThrottledStream {
  /** Called once after `take` has said false. */
  resume(): void;
}

export class OutputThrottle {
  readonly #used = new Map<ThrottledStream, number>();
  readonly #waiting = new Set<ThrottledStream>();
  #share = WINDOW_BYTES;
  /** Only while something prints. */
  #timer: NodeJS.Timeout | undefined;

  /** False: it has had its share of this window, and waits until `resume`. */
  take(stream: ThrottledStream, bytes: number): boolean {
    if (!this.#timer) this.#timer = setTimeout(() => this.#nextWindow(), WINDOW_MS);
    const used = (this.#used.get(stream) ?? 0) + bytes;
    this.#used.set(stream, used);
    if (used <= this.#share) return true;
    this.#waiting.add(stream);
    return false;
  }

  leave(stream: ThrottledStream): void {
    this.#used.delete(stream);
    this.#waiting.delete(stream);
  }

  #nextWindow(): void {
    this.#timer = undefined;
    const waiting = [...this.#waiting];
    this.#share = Math.max(MIN_SHARE_BYTES, WINDOW_BYTES / Math.max(1, waiting.length));
    this.#used.clear();
    this.#waiting.clear();
    for (const stream of waiting) stream.resume();
  }
}
