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
export interface PacedStream {
  /** Called once after `take` has said false. */
  goOn(): void;
}

export class OutputPace {
  readonly #used = new Map<PacedStream, number>();
  readonly #resting = new Set<PacedStream>();
  #share = WINDOW_BYTES;
  /** Only while something prints. */
  #timer: NodeJS.Timeout | undefined;

  /** False: it has had its share of this window, and rests until `goOn`. */
  take(stream: PacedStream, bytes: number): boolean {
    if (!this.#timer) this.#timer = setTimeout(() => this.#nextWindow(), WINDOW_MS);
    const used = (this.#used.get(stream) ?? 0) + bytes;
    this.#used.set(stream, used);
    if (used <= this.#share) return true;
    this.#resting.add(stream);
    return false;
  }

  leave(stream: PacedStream): void {
    this.#used.delete(stream);
    this.#resting.delete(stream);
  }

  #nextWindow(): void {
    this.#timer = undefined;
    const rested = [...this.#resting];
    this.#share = Math.max(MIN_SHARE_BYTES, WINDOW_BYTES / Math.max(1, rested.length));
    this.#used.clear();
    this.#resting.clear();
    for (const stream of rested) stream.goOn();
  }
}
