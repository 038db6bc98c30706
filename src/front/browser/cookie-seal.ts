/** Seals what browsers keep for this server: a login, or a log-in that has begun. Main thread. */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { Sealer } from '../../shared/sealer.js';

/** Far more than fits into a cookie; it stops nothing but a fault of ours. */
const MAX_BYTES = 262_144;

export type CookieKind = 'login' | 'flow';

export class CookieSealer {
  readonly #sealer: Sealer;

  /** 64 hex digits each; the first seals, all open. */
  constructor(keys: readonly [string, ...string[]]) {
    this.#sealer = new Sealer(keys, 'fairlead browsers 1');
  }

  /** The kind is authenticated: a cookie of one kind is none of another. */
  seal(kind: CookieKind, value: object): string {
    // Nobody who sees the length chooses a part of it, so compression tells nothing; a list of groups needs it.
    return this.#sealer.seal(kind, deflateRawSync(JSON.stringify(value))).toString('base64url');
  }

  /** Undefined for what was not sealed with one of these keys, for this kind, and unchanged. */
  open(kind: CookieKind, cookie: string): { value: unknown; isOld: boolean } | undefined {
    const sealed = Buffer.from(cookie, 'base64url');
    // Several texts decode to the same bytes; only one of them was given out.
    if (sealed.toString('base64url') !== cookie) return undefined;
    const opened = this.#sealer.open(kind, sealed);
    if (opened.broken !== undefined) return undefined;
    const value: unknown = JSON.parse(inflateRawSync(opened.bytes, { maxOutputLength: MAX_BYTES }).toString());
    return { value, isOld: opened.isOld === true };
  }
}
