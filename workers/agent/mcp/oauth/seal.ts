/** Seals logins to MCP servers at rest, with keys from the environment. Agent threads. */
import { FairleadError } from '../../../../src/shared/errors.js';
import { Sealer } from '../../../../src/shared/sealer.js';

/** Stored logins were sealed with the key of this purpose: another one opens none of them. */
const PURPOSE = 'fairlead secrets 1';

export class LoginSealer {
  readonly #sealer: Sealer;

  /** 64 hex digits each; the first seals, all open. */
  constructor(secretKeys: readonly [string, ...string[]]) {
    this.#sealer = new Sealer(secretKeys, PURPOSE);
  }

  /** `name`: its key in the store. */
  seal(name: string, text: string): Buffer {
    return this.#sealer.seal(name, text);
  }

  /** ERR_MCP, with what to do, when it was sealed with another key or under another name, or is damaged. */
  open(name: string, bytes: Buffer): { text: string; isOld: boolean } {
    const opened = this.#sealer.open(name, bytes);
    if (opened.broken === undefined) {
      return { text: opened.bytes.toString('utf8'), isOld: opened.isOld === true };
    }
    throw new FairleadError(
      'ERR_MCP',
      opened.broken === 'other-key'
        ? 'this login was sealed with another FAIRLEAD_SECRET_KEY: add that key to FAIRLEAD_SECRET_KEYS, or log in again'
        : 'the stored login is damaged: log in again',
    );
  }
}
