/** Seals logins to MCP servers at rest, with a key from the environment. Agent threads. */
import { FairleadError } from '../../../../src/shared/errors.js';
import { Sealer } from '../../../../src/shared/sealer.js';

/** Stored logins were sealed with the key of this purpose: another one opens none of them. */
const PURPOSE = 'fairlead secrets 1';

export class LoginSealer {
  readonly #sealer: Sealer;

  /** `secretKey`: 64 hex digits. */
  constructor(secretKey: string) {
    this.#sealer = new Sealer(secretKey, PURPOSE);
  }

  /** `name`: its key in the store. */
  seal(name: string, text: string): Buffer {
    return this.#sealer.seal(name, text);
  }

  /** ERR_MCP, with what to do, when it was sealed with another key or under another name, or is damaged. */
  open(name: string, bytes: Buffer): string {
    const opened = this.#sealer.open(name, bytes);
    if (opened.broken === undefined) return opened.bytes.toString('utf8');
    throw new FairleadError(
      'ERR_MCP',
      opened.broken === 'other-key'
        ? 'this login was sealed with another FAIRLEAD_SECRET_KEY: start the server with that key, or log in again'
        : 'the stored login is damaged: log in again',
    );
  }
}
