/** Encrypts secrets at rest: AES-256-GCM with a key from the environment. Agent threads. */
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { FairleadError } from '../../../../src/shared/errors.js';

const FORMAT = 1;
const ID_BYTES = 8;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + ID_BYTES;

/** format (1) · key id (8) · IV (12) · tag (16) · ciphertext. Format, key id and the name in the store are authenticated too. */
export class Sealer {
  readonly #key: Buffer;
  readonly #keyId: Buffer;

  /** `secretKey`: 64 hex digits. */
  constructor(secretKey: string) {
    const secret = Buffer.from(secretKey, 'hex');
    this.#key = Buffer.from(hkdfSync('sha256', secret, '', 'fairlead secrets 1', 32));
    this.#keyId = createHash('sha256').update(this.#key).digest().subarray(0, ID_BYTES);
  }

  seal(name: string, text: string): Buffer {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#key, iv);
    const head = Buffer.concat([Buffer.from([FORMAT]), this.#keyId]);
    cipher.setAAD(Buffer.concat([head, Buffer.from(name)]));
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return Buffer.concat([head, iv, cipher.getAuthTag(), sealed]);
  }

  /** ERR_MCP, with what to do, when it was sealed with another key or under another name, or is damaged. */
  open(name: string, bytes: Buffer): string {
    if (bytes.length < HEAD_BYTES + IV_BYTES + TAG_BYTES || bytes[0] !== FORMAT) throw broken();
    const head = bytes.subarray(0, HEAD_BYTES);
    if (!head.subarray(1).equals(this.#keyId)) {
      throw new FairleadError(
        'ERR_MCP',
        'this login was sealed with another FAIRLEAD_SECRET_KEY: start the server with that key, or log in again',
      );
    }
    const iv = bytes.subarray(HEAD_BYTES, HEAD_BYTES + IV_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', this.#key, iv, { authTagLength: TAG_BYTES });
    decipher.setAuthTag(bytes.subarray(HEAD_BYTES + IV_BYTES, HEAD_BYTES + IV_BYTES + TAG_BYTES));
    decipher.setAAD(Buffer.concat([head, Buffer.from(name)]));
    try {
      const sealed = bytes.subarray(HEAD_BYTES + IV_BYTES + TAG_BYTES);
      return Buffer.concat([decipher.update(sealed), decipher.final()]).toString('utf8');
    } catch (error) {
      throw broken(error);
    }
  }
}

function broken(cause?: unknown): FairleadError {
  return new FairleadError('ERR_MCP', 'the stored login is damaged: log in again', { cause });
}
