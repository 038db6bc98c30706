/** Where logins are kept: sealed in the store, or, without a key to seal them with, in this thread's memory. Agent threads. */
import { LRUCache } from 'lru-cache';
import type { Store, WriteSecret } from '../../store/store.js';
import { Sealer } from './seal.js';

/** Without a key: more logins than a server on trial has. The one that was written longest ago goes first. */
const MAX_IN_MEMORY = 10_000;

export interface Kept {
  value: unknown;
  version: number;
}

export interface Secrets {
  /** ERR_MCP when it cannot be opened with this server's key. */
  read(name: string): Promise<Kept | undefined>;
  /** As the store's: undefined where `ifVersion` is not what is there. */
  write(name: string, value: unknown, options?: WriteSecret): Promise<number | undefined>;
  remove(name: string): Promise<void>;
}

export function openSecrets(store: Pick<Store, 'readSecret' | 'writeSecret' | 'deleteSecret'>, key: string): Secrets {
  return key === '' ? new MemorySecrets() : new SealedSecrets(store, new Sealer(key));
}

class SealedSecrets implements Secrets {
  readonly #store: Pick<Store, 'readSecret' | 'writeSecret' | 'deleteSecret'>;
  readonly #sealer: Sealer;

  constructor(store: Pick<Store, 'readSecret' | 'writeSecret' | 'deleteSecret'>, sealer: Sealer) {
    this.#store = store;
    this.#sealer = sealer;
  }

  async read(name: string): Promise<Kept | undefined> {
    const found = await this.#store.readSecret(name);
    if (!found) return undefined;
    return { value: JSON.parse(this.#sealer.open(name, found.bytes)), version: found.version };
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

/** Gone with the thread, on purpose: what cannot be sealed is not written down. */
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
    // To the cache a time to live of 0 is none.
    const ttl = ttlMs === undefined ? 0 : Math.max(1, ttlMs);
    this.#kept.set(name, { json: JSON.stringify(value), version }, { ttl });
    return version;
  }

  async remove(name: string): Promise<void> {
    this.#kept.delete(name);
  }
}
