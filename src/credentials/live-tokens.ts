/** The tokens that were made here, as the front looks them up: without a round trip, by a blinded hash. Main thread. */
import { createHmac, randomBytes } from 'node:crypto';
import type { CredentialEntry, CredentialUse } from '../../workers/agent/contract/credentials.js';
import type { Logger } from '../shared/log.js';
import type { Person } from '../shared/person.js';
import type { View } from './mirror.js';
import { readToken, TOKEN_KIND } from './records.js';

/** How often the last use of one token is written down. */
const USE_INTERVAL_MS = 60_000;

interface LiveToken {
  person: Person;
  /** Key of `#byHash`. */
  blinded: string;
  usedAt: number;
  usedFrom: string;
  /** Its use as of then was handed out to be written. */
  notedAt: number;
}

export interface LiveTokensOptions {
  log: Logger;
  /** Why a token is not valid here, though the store has it. */
  refusal?: (person: Person) => string | undefined;
  /** These tokens, by id, are valid no more. */
  onEnded: (ids: ReadonlySet<string>) => void;
  now?: () => number;
}

export class LiveTokens implements View {
  readonly kind = TOKEN_KIND;
  readonly #options: LiveTokensOptions;
  readonly #byHash = new Map<string, LiveToken>();
  readonly #byId = new Map<string, LiveToken>();
  /** By user; without an entry where a user has none. */
  readonly #ofUser = new Map<string, Set<LiveToken>>();
  /** Tokens with a use that was not written down yet. */
  readonly #used = new Set<LiveToken>();
  readonly #key = randomBytes(32);
  #ended = new Set<string>();
  #refused = 0;

  constructor(options: LiveTokensOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Whose token this is, by its SHA-256; an expired one is nobody's. Notes its use. */
  find(sha256: string, address: string): Person | undefined {
    const token = this.#byHash.get(this.#blind(sha256));
    if (token === undefined) return undefined;
    const now = this.#now();
    if (isOver(token.person, now)) return undefined;
    token.usedAt = now;
    token.usedFrom = address;
    if (Math.abs(now - token.notedAt) >= USE_INTERVAL_MS) this.#used.add(token);
    return token.person;
  }

  /** Whether a person with this credential would still be let in. */
  isValid(id: string): boolean {
    const token = this.#byId.get(id);
    return token !== undefined && !isOver(token.person, this.#now());
  }

  /** Undefined: no such token. */
  ownerOf(id: string): string | undefined {
    return this.#byId.get(id)?.person.user;
  }

  /** The last use that this server knows of. */
  lastUse(id: string): { at: number; from: string } | undefined {
    const token = this.#byId.get(id);
    return token && token.usedAt > 0 ? { at: token.usedAt, from: token.usedFrom } : undefined;
  }

  /** Whoever has a token, in no order. */
  users(): Iterable<string> {
    return this.#ofUser.keys();
  }

  /** How many tokens the user has, expired ones included, and when one was used last, as far as this server knows; 0: never. */
  heldBy(user: string): { tokens: number; lastUsedAt: number } {
    let lastUsedAt = 0;
    const tokens = this.#ofUser.get(user);
    for (const { usedAt } of tokens ?? []) lastUsedAt = Math.max(lastUsedAt, usedAt);
    return { tokens: tokens?.size ?? 0, lastUsedAt };
  }

  /** At most `limit` uses that are to be written down; each token is in it at most once a minute. */
  takeUses(limit: number): CredentialUse[] {
    const uses: CredentialUse[] = [];
    for (const token of this.#used) {
      if (uses.length === limit) break;
      this.#used.delete(token);
      token.notedAt = token.usedAt;
      uses.push({ key: TOKEN_KIND + token.person.credential, at: token.usedAt, from: token.usedFrom });
    }
    return uses;
  }

  put(id: string, value: string, { usedAt = 0, usedFrom = '' }: CredentialEntry): void {
    this.drop(id);
    const record = readToken(value);
    if (!record) {
      this.#options.log.error({ token: id }, 'a token in the store cannot be read: it is not valid; revoke it');
      return;
    }
    const { sha256, user, role, groups, expiresAt } = record;
    const person: Person = { user, role, groups, credential: id, ...(expiresAt !== undefined && { expiresAt }) };
    const why = this.#options.refusal?.(person);
    if (why !== undefined) {
      if (this.#refused++ === 0)
        this.#options.log.warn({ token: id, user, why }, 'tokens in the store are not valid here');
      return;
    }
    const token = { person, blinded: this.#blind(sha256), usedAt, usedFrom, notedAt: usedAt };
    this.#byId.set(id, token);
    this.#byHash.set(token.blinded, token);
    const held = this.#ofUser.get(user) ?? new Set();
    this.#ofUser.set(user, held.add(token));
    this.#ended.delete(id);
  }

  drop(id: string): void {
    const token = this.#byId.get(id);
    if (!token) return;
    this.#byId.delete(id);
    this.#used.delete(token);
    const { user } = token.person;
    const held = this.#ofUser.get(user);
    held?.delete(token);
    if (held?.size === 0) this.#ofUser.delete(user);
    if (this.#byHash.get(token.blinded) === token) this.#byHash.delete(token.blinded);
    this.#ended.add(id);
  }

  applied(): void {
    if (this.#ended.size === 0) return;
    const ended = this.#ended;
    this.#ended = new Set();
    this.#options.onEnded(ended);
  }

  /**
   * Blinds the map's key with a secret of this process, so that the time of a look-up tells nothing about a token. It costs the
   * same for one token and for ten thousand.
   */
  #blind(sha256: string): string {
    return createHmac('sha256', this.#key).update(sha256).digest('base64');
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now();
  }
}

function isOver({ expiresAt }: Person, now: number): boolean {
  return expiresAt !== undefined && expiresAt <= now;
}
