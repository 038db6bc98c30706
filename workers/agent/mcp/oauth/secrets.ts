/** Keeps logins: sealed in the store or, without a key to seal them, in this thread's memory. Agent threads. */
import { LRUCache } from 'lru-cache';
import { hasKeys, type SecretKeys } from '../../../../src/shared/config-secret-keys.js';
import type { Store, WriteSecret } from '../../store/store.js';
import { LoginSealer } from './seal.js';

/** Without a key; more logins than a trial server has. The one that was written longest ago is evicted first. */
const MAX_IN_MEMORY = 10_000;

export interface Kept {
  value: unknown;
  version: number;
  /** Sealed with a key that may go soon: whoever uses it writes it anew. */
  isOld?: true;
}

export interface Secrets {
  /** ERR_MCP when this server's key cannot open it. */
  read(name: string): Promise<Kept | undefined>;
  /** Undefined when the stored version is not `ifVersion`, as in the store. */
  write(name: string, value: unknown, options?: WriteSecret): Promise<number | undefined>;
  remove(name: string): Promise<void>;
}

export function openSecrets(
  store: Pick<Store, 'readSecret' | 'writeSecret' | 'deleteSecret'>,
  keys: SecretKeys,
): Secrets {
  return hasKeys(keys) ? new SealedSecrets(store, new LoginSealer(keys)) : new MemorySecrets();
}

class SealedSecrets implements Secrets {
  readonly #store: Pick<Store, 'readSecret' | 'writeSecret' | 'deleteSecret'>;
  readonly #sealer: LoginSealer;

  constructor(store: Pick<Store, 'readSecret' | 'writeSecret' | 'deleteSecret'>, sealer: LoginSealer) {
    this.#store = store;
    this.#sealer = sealer;
  }

  async read(name: string): Promise<Kept | undefined> {
    const found = await this.#store.readSecret(name);
    if (!found) return undefined;
    const { text, isOld } = this.#sealer.open(name, found.bytes);
    return { value: JSON.parse(text), version: found.version, ...(isOld && { isOld }) };
  }

  write(name: string, value: unknown, options?: WriteSecret): Promise<number | undefined> {
    return this.#store.writeSecret(name, this.#sealer.seal(name, JSON.stringify(value)), options);
  }

  remove(name: string): Promise<void> {
    return this.#store.deleteSecret(name);
  }
}

interface InMemory {
  json: string;
  version: number;
}

/** Lost with the thread on purpose: an unsealed secret is never written to disk. */
class MemorySecrets implements Secrets {
  readonly #kept = new LRUCache<string, InMemory>({ max: MAX_IN_MEMORY });
  #versions = 0;

  async read(name: string): Promise<Kept | undefined> {
    const found = this.#kept.peek(name);
    return found && { value: JSON.parse(found.json), version: found.version };
  }

  async write(name: string, value: unknown, { ifVersion, ttlMs }: WriteSecret = {}): Promise<number | undefined> {
    if (ifVersion !== undefined && (this.#kept.peek(name)?.version ?? 0) !== ifVersion) return undefined;
    const version = ++this.#versions;
    // The cache takes a ttl of 0 for none.
    const ttl = ttlMs === undefined ? 0 : Math.max(1, ttlMs);
    this.#kept.set(name, { json: JSON.stringify(value), version }, { ttl });
    return version;
  }

  async remove(name: string): Promise<void> {
    this.#kept.delete(name);
  }
}
