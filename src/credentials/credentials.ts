/** Tokens that are made while the server runs, and blocked users: kept in the store, looked up here. Main thread. */
import { randomBytes } from 'node:crypto';
import type { CredentialEntry } from '../../workers/agent/contract/credentials.js';
import { audit, refuseUnaudited } from '../shared/audit.js';
import { errorToData, FairleadError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import type { Person, Role, Who } from '../shared/person.js';
import { hashToken, LOCAL_USER, newToken } from '../shared/token-file.js';
import type { Agents } from '../threads/agents.js';
import { BlockedUsers } from './blocked-users.js';
import { LiveTokens } from './live-tokens.js';
import { CredentialMirror, type View } from './mirror.js';
import { BLOCK_KIND, readToken, TOKEN_KIND, type BlockRecord, type TokenRecord } from './records.js';

/** How long a token that has expired stays in the list. */
const KEEP_EXPIRED_MS = 30 * 86_400_000;
const FLUSH_MS = 10_000;
const USES_AT_ONCE = 500;
/** Entries of other kinds may stand between tokens, so a page of tokens may take several reads. */
const LIST_PAGE = 200;

export interface CredentialsOptions {
  agents: Agents;
  log: Logger;
  /** Tools run in sandboxes that keep users apart. Without that only the machine's owner may have tokens. */
  isolated: () => boolean;
  /** More kinds of entries that others keep in the table. */
  views?: readonly View[];
  /** Why what is known here may be old; undefined: it is not. */
  onState: (reason: string | undefined) => void;
  /** Closes the sockets and streams of whom `ends` is true; returns their number. */
  onRevoked: (ends: (person: Person) => boolean) => number;
  /** Why a user whom nobody has blocked is kept out; undefined: they are let in. */
  keptOut?: (user: string) => FairleadError | undefined;
  /** The list of blocked users has changed; `fresh` are new in it. Returns how many sockets and streams it has closed. */
  onBlocked: (fresh: ReadonlySet<string>) => number;
  pollMs?: number;
}

/** Who acts: the user with credential and address. */
export type Actor = Pick<Who, 'credential' | 'address'> & { user: string };

export interface TokenOrder {
  user: string;
  role: Role;
  groups: readonly string[];
  note?: string | undefined;
  expiresInMs?: number | undefined;
}

/** A token as it is shown; the token itself is shown once, when it is made. */
export interface ShownToken extends Omit<TokenRecord, 'sha256'> {
  id: string;
  lastUsedAt?: number;
  /** The client's address. */
  lastUsedFrom?: string;
}

export class Credentials {
  readonly tokens: LiveTokens;
  readonly blocked: BlockedUsers;
  readonly mirror: CredentialMirror;
  readonly #options: CredentialsOptions;
  #flush: NodeJS.Timeout | undefined;

  constructor(options: CredentialsOptions) {
    this.#options = options;
    const { agents, log, views = [], onState, pollMs } = options;
    this.tokens = new LiveTokens({
      log,
      refusal: (person) => this.#refusalHere(person.user),
      onEnded: (ids) => {
        const closed = options.onRevoked(({ credential }) => ids.has(credential));
        if (closed > 0) audit({ what: 'credential_ended', about: { tokens: [...ids], closed } });
      },
    });
    this.blocked = new BlockedUsers({
      log,
      onChanged: (fresh) => {
        const closed = options.onBlocked(fresh);
        if (closed > 0) audit({ what: 'credential_ended', about: { users: [...fresh], closed } });
      },
    });
    this.mirror = new CredentialMirror({
      agents,
      views: [this.tokens, this.blocked, ...views],
      log,
      onState,
      ...(pollMs !== undefined && { pollMs }),
    });
  }

  /** Resolves when all tokens and blocks are known. Until then nobody is let in. */
  async start(signal: AbortSignal): Promise<void> {
    await this.mirror.start(signal);
    this.#flush = setInterval(() => void this.#writeUses(), FLUSH_MS);
  }

  async close(): Promise<void> {
    this.mirror.close();
    if (this.#flush === undefined) return;
    clearInterval(this.#flush);
    await this.#writeUses();
  }

  /** Whose token has this SHA-256. */
  find(sha256: string, address: string): Person | undefined {
    return this.tokens.find(sha256, address);
  }

  /** Why a person with a known credential is not let in: ERR_BLOCKED; ERR_UNAUTHORIZED when the credential has ended. */
  refusal({ user, credential }: Person): FairleadError | undefined {
    if (this.blocked.has(user)) return new FairleadError('ERR_BLOCKED', 'this user is blocked');
    const kept = this.#options.keptOut?.(user);
    if (kept) return kept;
    if (!credential.startsWith(ID_PREFIX) || this.tokens.isValid(credential)) return undefined;
    return new FairleadError('ERR_UNAUTHORIZED', 'the token has ended or was revoked');
  }

  /** The token, and what is kept of it. It is valid here at once, and at other servers within a second. ERR_FORBIDDEN, ERR_QUOTA, ERR_UNAVAILABLE. */
  async make(order: TokenOrder, by: Actor): Promise<{ token: string; shown: ShownToken }> {
    refuseUnaudited(); // to revoke and to block stay possible: they let nobody in
    const { user, role, groups, note, expiresInMs } = order;
    const why = this.#refusalHere(user);
    if (why !== undefined) throw new FairleadError('ERR_FORBIDDEN', why);
    const id = ID_PREFIX + randomBytes(9).toString('base64url');
    const token = newToken();
    const now = Date.now();
    const record: TokenRecord = {
      sha256: hashToken(token),
      user,
      role,
      groups: [...groups],
      createdAt: now,
      createdBy: by.user,
      ...(note !== undefined && { note }),
      ...(expiresInMs !== undefined && { expiresAt: now + expiresInMs }),
    };
    const { expiresAt } = record;
    await this.mirror.write({
      key: TOKEN_KIND + id,
      value: JSON.stringify(record),
      ...(expiresAt !== undefined && { endsAt: expiresAt + KEEP_EXPIRED_MS }),
    });
    audit({ what: 'token_made', ...by, about: { token: id, for: user, role, groups, expiresAt } });
    return { token, shown: shownToken(id, record) };
  }

  /** Resolves when it is valid here no more. False: there is none. */
  async revoke(id: string, by: Actor): Promise<boolean> {
    const owner = this.tokens.ownerOf(id);
    const removed = await this.mirror.remove(TOKEN_KIND + id);
    if (removed) audit({ what: 'token_revoked', ...by, about: { token: id, for: owner } });
    return removed;
  }

  /** Tokens in the order in which they were made. `after`: `next` of the page before. */
  async list(limit: number, after = 0, user?: string): Promise<{ tokens: ShownToken[]; next?: number }> {
    const tokens: ShownToken[] = [];
    for (let at = after; ;) {
      const page = await this.mirror.page(at, LIST_PAGE);
      for (const entry of page.entries) {
        const shown = this.#shown(entry);
        if (!shown || (user !== undefined && shown.user !== user)) continue;
        if (tokens.length === limit) return { tokens, next: at };
        tokens.push(shown);
        at = entry.change;
      }
      if (!page.more || page.lost) return { tokens };
      at = page.next;
    }
  }

  /** Resolves when the user is let in here no more. Blocking twice keeps the first block. ERR_FORBIDDEN for oneself. */
  async block(user: string, reason: string | undefined, by: Actor): Promise<BlockRecord> {
    if (user === by.user) throw new FairleadError('ERR_FORBIDDEN', 'nobody can block themselves: another admin can');
    const record: BlockRecord = { since: Date.now(), by: by.user, ...(reason !== undefined && { reason }) };
    const written = await this.mirror.write({ key: BLOCK_KIND + user, value: JSON.stringify(record), ifAbsent: true });
    if (written) audit({ what: 'user_blocked', ...by, about: { blocked: user, reason } });
    return this.blocked.get(user) ?? record;
  }

  /** False: the user was not blocked. */
  async unblock(user: string, by: Actor): Promise<boolean> {
    refuseUnaudited();
    const removed = await this.mirror.remove(BLOCK_KIND + user);
    if (removed) audit({ what: 'user_unblocked', ...by, about: { unblocked: user } });
    return removed;
  }

  #shown({ key, value, usedAt = 0, usedFrom = '' }: CredentialEntry): ShownToken | undefined {
    if (value === undefined || !key.startsWith(TOKEN_KIND)) return undefined;
    const id = key.slice(TOKEN_KIND.length);
    const record = readToken(value);
    if (!record) return undefined;
    const here = this.tokens.lastUse(id);
    const use = here && here.at > usedAt ? here : { at: usedAt, from: usedFrom };
    return { ...shownToken(id, record), ...(use.at > 0 && { lastUsedAt: use.at, lastUsedFrom: use.from }) };
  }

  /** Why tokens of this user are not valid on this server. */
  #refusalHere(user: string): string | undefined {
    if (user === LOCAL_USER || this.#options.isolated()) return undefined;
    return `tools run here without isolation (the sandbox is a process), so only ${LOCAL_USER} may have tokens: set sandbox.driver to docker`;
  }

  /** What cannot be written is tried with the next use. */
  async #writeUses(): Promise<void> {
    try {
      for (;;) {
        const uses = this.tokens.takeUses(USES_AT_ONCE);
        if (uses.length === 0) return;
        await this.mirror.noteUses(uses);
      }
    } catch (error) {
      this.#options.log.debug({ err: errorToData(error).message }, 'the last uses of tokens were not written');
    }
  }
}

/** What the id of a token made here begins with; no other credential's name does. */
const ID_PREFIX = 'tok_';

function shownToken(id: string, { sha256: _sha256, ...record }: TokenRecord): ShownToken {
  return { id, ...record };
}
