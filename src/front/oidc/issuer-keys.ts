/**
 * The public keys of an issuer. They are read before they are needed, read again in the background, and kept while the issuer
 * does not answer. What tokens ask for costs the issuer a bounded number of requests. Main thread.
 */
import type { createLocalJWKSet, CryptoKey, FlattenedJWSInput, JWTHeaderParameters } from 'jose';
import { FairleadError } from '../../shared/errors.js';
import type { Logger } from '../../shared/log.js';
import { readIssuerKeys, type IssuerAddress } from '../../shared/issuer-jwks.js';

/** A key that the issuer has withdrawn counts no longer than this, while the issuer answers. */
const MAX_AGE_MS = 300_000;
/** A key that is not known makes us ask, at most so often: a thousand invented ones are one request. */
const UNKNOWN_KEY_PAUSE_MS = 5_000;
/** Of requests after one that failed. */
const RETRY_MS = 2_000;

export interface IssuerKeysOptions extends IssuerAddress {
  log: Logger;
  /** Of tests. */
  pauses?: { unknownKeyMs?: number; retryMs?: number; maxAgeMs?: number } | undefined;
}

type KeySet = ReturnType<typeof createLocalJWKSet>;

export class IssuerKeys {
  readonly #options: IssuerKeysOptions;
  readonly #onChanged: () => void;
  #keys: KeySet | undefined;
  /** To see whether they have changed. */
  #text = '';
  #readAt = -Infinity;
  #askedAt = -Infinity;
  #asking: Promise<void> | undefined;
  /** Why the last request failed; undefined: it did not. */
  #failure: string | undefined;

  /** `onChanged`: what was verified with the keys so far must be verified again. */
  constructor(options: IssuerKeysOptions, onChanged: () => void) {
    this.#options = options;
    this.#onChanged = onChanged;
  }

  /** Reads the keys, unless that failed a moment ago. Never rejects. */
  async warm(): Promise<void> {
    await this.#ask(this.#pause(RETRY_MS, 'retryMs'));
  }

  /** For jose. Rejects with JWKSNoMatchingKey, and with ERR_UNAVAILABLE while nobody can tell whether the issuer has such a key. */
  readonly keyFor = async (header: JWTHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey> => {
    if (!this.#keys) await this.warm();
    const keys = this.#keys;
    if (!keys) throw this.#unknown();
    if (this.#since(this.#readAt) > this.#pause(MAX_AGE_MS, 'maxAgeMs')) void this.warm();
    try {
      return await keys(header, token);
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ERR_JWKS_NO_MATCHING_KEY') throw error;
      await this.#ask(this.#pause(UNKNOWN_KEY_PAUSE_MS, 'unknownKeyMs'));
      return await this.#keys!(header, token).catch((still: unknown) => {
        // The issuer may have changed its keys while it does not answer us.
        throw this.#failure === undefined ? still : this.#unknown();
      });
    }
  };

  /** One request at a time, `pauseMs` after the last one at the earliest. Who comes meanwhile waits for the same one. */
  async #ask(pauseMs: number): Promise<void> {
    if (!this.#asking) {
      if (this.#since(this.#askedAt) < pauseMs) return;
      this.#askedAt = performance.now();
      this.#asking = this.#read().finally(() => {
        this.#asking = undefined;
        this.#askedAt = performance.now();
      });
    }
    await this.#asking;
  }

  async #read(): Promise<void> {
    const { issuer, log } = this.#options;
    try {
      const { createLocalJWKSet } = await import('jose'); // loaded only where there is an issuer
      const jwks = await readIssuerKeys(this.#options);
      const text = JSON.stringify(jwks);
      const keys = createLocalJWKSet(jwks);
      this.#readAt = performance.now();
      if (this.#failure !== undefined) log.info({ issuer }, 'the keys of the issuer can be read again');
      this.#failure = undefined;
      if (text === this.#text) return;
      this.#text = text;
      this.#keys = keys;
      this.#onChanged();
    } catch (error) {
      const why = (error as Error).message;
      if (why !== this.#failure) {
        const known = this.#keys ? 'those that are known count on' : 'until then no JWT is let in';
        log.warn({ issuer, err: why }, `the keys of the issuer cannot be read: ${known}`);
      }
      this.#failure = why;
    }
  }

  #unknown(): FairleadError {
    return new FairleadError('ERR_UNAVAILABLE', 'the keys of the issuer cannot be read now', {
      retryAfterMs: RETRY_MS,
    });
  }

  #since(at: number): number {
    return performance.now() - at;
  }

  #pause(standard: number, name: 'unknownKeyMs' | 'retryMs' | 'maxAgeMs'): number {
    return this.#options.pauses?.[name] ?? standard;
  }
}
