/**
 * Throttles the output of all sandboxes together. They share one Docker daemon: a sandbox that prints without end, read at
 * full speed, makes the answers of all others three times slower. Docker thread.
 */

const WINDOW_MS = 20;
/** 13 MB a second, shared by the streams over their share. */
const WINDOW_BYTES = 262_144;
/** Every stream may print this much per window, however many are loud: answers are shorter. */
const MIN_SHARE_BYTES = 16_384;

export interface ThrottledStream {
  /** Called once after `take` has returned false. */
  resume(): void;
}

export class OutputThrottle {
  readonly #used = new Map<ThrottledStream, number>();
  readonly #waiting = new Set<ThrottledStream>();
  #share = WINDOW_BYTES;
  /** Armed only while something prints. */
  #timer: NodeJS.Timeout | undefined;

  /** False: the stream has used up its share of this window and must pause until `resume`. */
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
