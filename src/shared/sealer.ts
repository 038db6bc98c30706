/** Encrypts what others keep for this server: AES-256-GCM with keys of one purpose. Every thread. */
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';

const FORMAT = 1;
const ID_BYTES = 8;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + ID_BYTES;

/** `other-key`: it was sealed with another key or for another purpose. `damaged`: it was changed, or has another name. */
export type Opened = { bytes: Buffer; isOld?: true; broken?: never } | { broken: 'other-key' | 'damaged' };

interface Key {
  key: Buffer;
  id: Buffer;
}

/** format (1) · key id (8) · IV (12) · tag (16) · ciphertext. Format, key id and name are authenticated too. */
export class Sealer {
  readonly #first: Key;
  readonly #keys: readonly Key[];

  /** `secretKeys`: 64 hex digits each; the first seals, all open. What is sealed for one purpose is not opened for another. */
  constructor(secretKeys: readonly [string, ...string[]], purpose: string) {
    const [first, ...others] = secretKeys;
    this.#first = toKey(first, purpose);
    this.#keys = [this.#first, ...others.map((each) => toKey(each, purpose))];
  }

  seal(name: string, data: string | Uint8Array): Buffer {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#first.key, iv);
    const head = Buffer.concat([Buffer.from([FORMAT]), this.#first.id]);
    cipher.setAAD(Buffer.concat([head, Buffer.from(name)]));
    const sealed = Buffer.concat([cipher.update(Buffer.from(data)), cipher.final()]);
    return Buffer.concat([head, iv, cipher.getAuthTag(), sealed]);
  }

  /** `isOld`: with another key than the first. */
  open(name: string, bytes: Buffer): Opened {
    if (bytes.length < HEAD_BYTES + IV_BYTES + TAG_BYTES || bytes[0] !== FORMAT) return { broken: 'damaged' };
    const head = bytes.subarray(0, HEAD_BYTES);
    const by = this.#keys.find(({ id }) => head.subarray(1).equals(id));
    if (!by) return { broken: 'other-key' };
    const iv = bytes.subarray(HEAD_BYTES, HEAD_BYTES + IV_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', by.key, iv, { authTagLength: TAG_BYTES });
    decipher.setAuthTag(bytes.subarray(HEAD_BYTES + IV_BYTES, HEAD_BYTES + IV_BYTES + TAG_BYTES));
    decipher.setAAD(Buffer.concat([head, Buffer.from(name)]));
    const start = decipher.update(bytes.subarray(HEAD_BYTES + IV_BYTES + TAG_BYTES));
    try {
      const opened = Buffer.concat([start, decipher.final()]);
      return by === this.#first ? { bytes: opened } : { bytes: opened, isOld: true };
    } catch {
      return { broken: 'damaged' }; // all that `final` can say
    }
  }
}

function toKey(secretKey: string, purpose: string): Key {
  const key = Buffer.from(hkdfSync('sha256', Buffer.from(secretKey, 'hex'), '', purpose, 32));
  return { key, id: createHash('sha256').update(key).digest().subarray(0, ID_BYTES) };
}
