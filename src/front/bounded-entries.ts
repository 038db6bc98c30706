/** How many entries of the audit log others may cause by failing: so many of each, and so many of all together. Main thread. */
import { LRUCache } from 'lru-cache';
import { TokenBucket } from '../shared/token-bucket.js';

const MAX_KEYS = 10_000;
/** Of one key: so many at once, then one in ten seconds. */
const BURST = 10;
const PER_SECOND = 0.1;
/** Of all keys together. */
const BURST_OF_ALL = 100;
const PER_SECOND_OF_ALL = 10;

export class BoundedEntries {
  readonly #buckets = new LRUCache<string, TokenBucket>({ max: MAX_KEYS });
  readonly #all = new TokenBucket(BURST_OF_ALL, PER_SECOND_OF_ALL);
  #left = 0;

  /** What the entry is to say of those that were left out before it. Undefined: this one is left out, too. */
  take(key: string): { unrecorded?: number } | undefined {
    if (!this.#bucketOf(key).take() || !this.#all.take()) {
      this.#left++;
      return undefined;
    }
    const left = this.#left;
    this.#left = 0;
    return left === 0 ? {} : { unrecorded: left };
  }

  #bucketOf(key: string): TokenBucket {
    let bucket = this.#buckets.get(key);
    if (!bucket) {
      bucket = new TokenBucket(BURST, PER_SECOND);
      this.#buckets.set(key, bucket);
    }
    return bucket;
  }
}
