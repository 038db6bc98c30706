/** Encrypts what others keep for this server: AES-256-GCM with a key of one purpose. Every thread. */
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';

const FORMAT = 1;
const ID_BYTES = 8;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + ID_BYTES;

/** `other-key`: it was sealed with another key or for another purpose. `damaged`: it was changed, or has another name. */
export type Opened = { bytes: Buffer; broken?: never } | { broken: 'other-key' | 'damaged' };

/** format (1) · key id (8) · IV (12) · tag (16) · ciphertext. Format, key id and name are authenticated too. */
export class Sealer {
  readonly #key: Buffer;
  readonly #keyId: Buffer;

  /** `secretKey`: 64 hex digits. What is sealed for one purpose is not opened for another. */
  constructor(secretKey: string, purpose: string) {
    const secret = Buffer.from(secretKey, 'hex');
    this.#key = Buffer.from(hkdfSync('sha256', secret, '', purpose, 32));
    this.#keyId = createHash('sha256').update(this.#key).digest().subarray(0, ID_BYTES);
  }

  seal(name: string, data: string | Uint8Array): Buffer {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#key, iv);
    const head = Buffer.concat([Buffer.from([FORMAT]), this.#keyId]);
    cipher.setAAD(Buffer.concat([head, Buffer.from(name)]));
    const sealed = Buffer.concat([cipher.update(Buffer.from(data)), cipher.final()]);
    return Buffer.concat([head, iv, cipher.getAuthTag(), sealed]);
  }

  open(name: string, bytes: Buffer): Opened {
    if (bytes.length < HEAD_BYTES + IV_BYTES + TAG_BYTES || bytes[0] !== FORMAT) return { broken: 'damaged' };
    const head = bytes.subarray(0, HEAD_BYTES);
    if (!head.subarray(1).equals(this.#keyId)) return { broken: 'other-key' };
    const iv = bytes.subarray(HEAD_BYTES, HEAD_BYTES + IV_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', this.#key, iv, { authTagLength: TAG_BYTES });
    decipher.setAuthTag(bytes.subarray(HEAD_BYTES + IV_BYTES, HEAD_BYTES + IV_BYTES + TAG_BYTES));
    decipher.setAAD(Buffer.concat([head, Buffer.from(name)]));
    const start = decipher.update(bytes.subarray(HEAD_BYTES + IV_BYTES + TAG_BYTES));
    try {
      return { bytes: Buffer.concat([start, decipher.final()]) };
    } catch {
      return { broken: 'damaged' }; // all that `final` can say
    }
  }
}
