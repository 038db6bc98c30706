/** Caches the tokens that this thread's requests carry; asks for a new lease when one is over. Agent threads. */
import type { AuthProvider } from '@modelcontextprotocol/client';
import { LRUCache } from 'lru-cache';
import { challengingProvider } from '../../http/challenge.js';
import type { TokenLease } from '../../contract/logins.js';

/** Users of this thread with a token in use. An evicted lease is asked for again. */
const MAX_LEASES = 10_000;

interface LeaseEntry {
  provider: AuthProvider;
  lease?: TokenLease | undefined;
  asking?: Promise<TokenLease> | undefined;
}

export class TokenLeases {
  readonly #entries = new LRUCache<string, LeaseEntry>({ max: MAX_LEASES });

  /** The same object each time for a key, until it is evicted. */
  provider(key: string, ask: () => Promise<TokenLease>): AuthProvider {
    return this.#entry(key, ask).provider;
  }

  /** The next request carries this lease; undefined: it asks for one. */
  set(key: string, lease: TokenLease | undefined): void {
    const entry = this.#entries.peek(key);
    if (!entry) return;
    entry.lease = lease;
    entry.asking = undefined;
  }

  #entry(key: string, ask: () => Promise<TokenLease>): LeaseEntry {
    const entry: LeaseEntry = this.#entries.get(key) ?? {
      provider: challengingProvider(() => this.#token(key, ask)),
    };
    this.#entries.set(key, entry);
    return entry;
  }

  async #token(key: string, ask: () => Promise<TokenLease>): Promise<string | undefined> {
    const entry = this.#entry(key, ask);
    if (entry.lease && entry.lease.until > Date.now()) return entry.lease.token;
    const asking = (entry.asking ??= ask());
    try {
      const lease = await asking;
      // A lease that was set meanwhile is newer.
      if (entry.asking === asking) entry.lease = lease;
      return lease.token;
    } finally {
      if (entry.asking === asking) entry.asking = undefined;
    }
  }
}
