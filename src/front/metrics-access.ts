/** Decides who may read the metrics: whoever has the scrape token, and with a listener of their own also all who reach it. Main thread. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Config } from '../shared/config.js';

export class MetricsAccess {
  readonly #sha256: Buffer | undefined;
  readonly #ownListener: boolean;

  constructor({ tokenSha256, listen }: Config['metrics']) {
    this.#sha256 = tokenSha256 === '' ? undefined : Buffer.from(tokenSha256, 'hex');
    this.#ownListener = listen !== undefined;
  }

  /** The users' listener has `/metrics`. */
  get onUsersListener(): boolean {
    return this.#sha256 !== undefined && !this.#ownListener;
  }

  /** A user's token is none of these. */
  allows(authorization: string): boolean {
    if (this.#sha256 === undefined) return this.#ownListener;
    const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
    return token !== undefined && timingSafeEqual(createHash('sha256').update(token).digest(), this.#sha256);
  }
}
