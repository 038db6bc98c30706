/** Limits requests a second by key, as a token bucket of eight seconds. A refused request costs nothing. Main thread. */
import { LRUCache } from 'lru-cache';
import { FairleadError } from '../shared/errors.js';

const BURST_S = 8;
/** The key that was used least lately is forgotten first: it has the fullest bucket. */
const MAX_KEYS = 10_000;

interface Bucket {
  requests: number;
  /** When `requests` was right; ms, monotonic. */
  at: number;
}

export interface RequestRateOptions {
  /** 0: no limit. */
  perSecond: number;
  /** Told with the refusal. */
  refusal: string;
  now?: () => number;
}

export class RequestRate {
  readonly #options: RequestRateOptions;
  readonly #buckets = new LRUCache<string, Bucket>({ max: MAX_KEYS });

  constructor(options: RequestRateOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Takes one request out of the bucket, or returns ERR_TOO_MANY_REQUESTS. */
  take(key: string): FairleadError | undefined {
    const { perSecond, refusal, now = () => performance.now() } = this.#options;
    if (perSecond === 0) return undefined;
    const at = now();
    const full = perSecond * BURST_S;
    const { requests, at: before } = this.#buckets.get(key) ?? { requests: full, at };
    const left = Math.min(full, requests + ((at - before) / 1_000) * perSecond);
    this.#buckets.set(key, { requests: left >= 1 ? left - 1 : left, at });
    if (left >= 1) return undefined;
    const retryAfterMs = Math.ceil(((1 - left) / perSecond) * 1_000);
    const seconds = Math.ceil(retryAfterMs / 1_000);
    return new FairleadError('ERR_TOO_MANY_REQUESTS', `${refusal}: try again in ${seconds} s`, { retryAfterMs });
  }
}
