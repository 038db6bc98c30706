/** Makes images fit the model: small enough, upright, without what they say of their making. One per agent thread. */
import { onAbort, pending, untilAborted } from '../../../src/shared/abort.js';
import {
  judgeGivenImage,
  judgeImage,
  MAX_IMAGE_BASE64,
  MAX_IMAGE_PIXELS,
  type ImageFacts,
  type ImageType,
} from '../../../src/shared/image-facts.js';
import { hasMetadata } from '../../../src/shared/image-metadata.js';
import type { Logger } from '../../../src/shared/log.js';
import { ImageProgram, type ImageResult, type ImageTimes } from './image-program.js';

const TIMES: ImageTimes = { fitMs: 20_000, startMs: 20_000, idleMs: 30_000 };
/** Each message and each result has one at a time here. */
const MAX_WAITING = 200;
const MAX_BYTES = (MAX_IMAGE_BASE64 / 4) * 3;

export type FitImage =
  | { ok: true; data: string; mimeType: ImageType }
  /** `why` completes «the image …». `busy`: later it may go. */
  | { ok: false; why: string; busy?: true };

export interface FitOptions {
  maxSide: number;
  /** Whoever waits has given up. */
  signal: AbortSignal;
}

export class Images {
  readonly #program: ImageProgram;
  readonly #log: Logger;
  /** The pictures that wait, each as the function that lets it begin. */
  readonly #waiting: (() => void)[] = [];
  #busy = false;
  #absent = false;

  constructor({ log, times = {}, file }: { log: Logger; times?: Partial<ImageTimes>; file?: string }) {
    this.#log = log;
    this.#program = new ImageProgram({ ...TIMES, ...times }, file);
  }

  /** Of the running program, for tests. */
  get pid(): number | undefined {
    return this.#program.pid;
  }

  /** The image itself where it fits already. Never rejects. */
  async fit(data: string, options: FitOptions): Promise<FitImage> {
    const given = judgeGivenImage(data);
    if (!given.ok) return given;
    const bytes = Buffer.from(data, 'base64');
    if (fits(data, bytes, given.facts, options.maxSide)) return { ok: true, data, mimeType: given.facts.type };
    if (this.#absent) return asItIs(data);
    // Whoever has given up is told at once; the picture under way is finished, or ended at its own deadline.
    const asked = untilAborted(options.signal, () => this.#ask(bytes, options));
    const result = await asked.catch(() => ({ type: 'busy' as const }));
    switch (result.type) {
      case 'made': {
        const fitted = Buffer.from(result.bytes).toString('base64');
        const verdict = judgeImage(fitted);
        return verdict.ok ? { ok: true, data: fitted, mimeType: verdict.facts.type } : verdict;
      }
      case 'absent':
      case 'unstarted':
        return asItIs(data);
      case 'bad':
        return { ok: false, why: `cannot be decoded (${result.why})` };
      case 'slow':
        return { ok: false, why: 'takes too long to decode' };
      case 'died':
        return { ok: false, why: 'cannot be decoded: its decoder has ended' };
      case 'busy':
        return { ok: false, why: 'waits for too many others', busy: true };
    }
  }

  close(): void {
    this.#program.end();
  }

  async #ask(bytes: Buffer, { maxSide, signal }: FitOptions): Promise<ImageResult | { type: 'busy' }> {
    if (!(await this.#turn(signal))) return { type: 'busy' };
    try {
      const request = { bytes, maxSide, maxPixels: MAX_IMAGE_PIXELS, maxBytes: MAX_BYTES };
      const result = await this.#program.fit(request);
      if (result.type === 'absent' && !this.#absent) {
        this.#absent = true;
        this.#log.warn({ why: result.why }, 'images are passed on as they are: sharp cannot be used');
      }
      if (result.type === 'unstarted') this.#log.warn('an image is passed on as it is: its program did not start');
      return result;
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#busy = false;
    }
  }

  /** True when it is this one's turn; false when too many wait, or `signal` aborts first. */
  async #turn(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    if (!this.#busy) {
      this.#busy = true;
      return true;
    }
    if (this.#waiting.length >= MAX_WAITING) return false;
    const { promise, resolve } = pending<boolean>();
    const begin = (): void => resolve(true);
    this.#waiting.push(begin);
    const stop = onAbort(signal, () => {
      const index = this.#waiting.indexOf(begin);
      if (index < 0) return; // it has begun
      this.#waiting.splice(index, 1);
      resolve(false);
    });
    try {
      return await promise;
    } finally {
      stop();
    }
  }
}

function fits(data: string, bytes: Buffer, { type, width, height }: ImageFacts, maxSide: number): boolean {
  return Math.max(width, height) <= maxSide && data.length <= MAX_IMAGE_BASE64 && !hasMetadata(bytes, type);
}

/** Without a decoder: what the model takes goes as it is. */
function asItIs(data: string): FitImage {
  const verdict = judgeImage(data);
  if (verdict.ok) return { ok: true, data, mimeType: verdict.facts.type };
  return { ok: false, why: `${verdict.why}; this server cannot make it smaller, since it cannot use sharp` };
}
