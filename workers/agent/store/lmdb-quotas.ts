/** What the embedded store counts of each user: one record, changed in the transaction that it belongs to. Agent threads. */
import type { Quota, QuotaExcess } from '../../../src/shared/quotas.js';
import { keyDigest, type LmdbTables, type StoredRow } from './lmdb-tables.js';
import {
  CLAIM_MS,
  MINUTE_MS,
  type Counting,
  type QuotaCounters,
  type SandboxClaim,
  type UserCounts,
} from './quota-counters.js';
import type { Commit } from './store.js';

/** Times are ms since the epoch; what was set by a clock that has been set back since does not count. */
export interface StoredCounts {
  /** Session → open turns, and when they count no more. */
  turns?: Record<string, [open: number, endsAt: number]>;
  /** When the newest messages were accepted, oldest first. */
  sent?: number[];
  /** Session and server → when the claim ends. */
  sandboxes?: Record<string, number>;
  savedBytes?: number;
  historyBytes?: number;
  /** The sessions from before anything was counted are counted. */
  complete?: true;
}

/** How far the clock may be set back without a time in the future being one that does not count. */
const SKEW_MS = 5_000;

/** The limit that this step would break. Changes nothing. */
export function commitExcess(
  tables: LmdbTables,
  row: StoredRow,
  commit: Commit,
  { turnLeaseMs }: Counting,
): QuotaExcess | undefined {
  const accepts = commit.count?.accepts;
  if (!commit.count || !accepts) return undefined;
  const { maxTurns, maxMessagesPerMinute, maxHistoryBytes, bytes } = accepts;
  const counts = readOf(tables, commit.count.user);
  const now = Date.now();
  const open = commit.row?.openTurns?.length;
  if (maxTurns > 0 && open !== undefined) {
    const others = Object.entries(counts.turns ?? {}).filter(([session, [, endsAt]]) => {
      return session !== row.session && endsAt > now && endsAt <= now + turnLeaseMs + SKEW_MS;
    });
    const wanted = others.reduce((sum, [, [turns]]) => sum + turns, open);
    if (wanted > maxTurns) return { limit: 'maxTurns', max: maxTurns, used: wanted - 1 };
  }
  const first = maxMessagesPerMinute > 0 ? (counts.sent ?? []).at(-maxMessagesPerMinute) : undefined;
  if (first !== undefined && first <= now + SKEW_MS && first > now - MINUTE_MS) {
    const max = maxMessagesPerMinute;
    return { limit: 'maxMessagesPerMinute', max, used: max, resetAt: first + MINUTE_MS };
  }
  const used = counts.historyBytes ?? 0;
  if (maxHistoryBytes > 0 && used + bytes > maxHistoryBytes)
    return { limit: 'maxHistoryBytes', max: maxHistoryBytes, used };
  return undefined;
}

/** Counts the step in `next`, the row that it writes. */
export function countCommit(tables: LmdbTables, next: StoredRow, commit: Commit, counting: Counting): void {
  const { count, row } = commit;
  if (!count) return;
  const open = counting.turns ? row?.openTurns?.length : undefined;
  const bytes = counting.history ? row?.history?.bytes : undefined;
  const maxSent = count.accepts?.maxMessagesPerMinute ?? 0;
  if (open === undefined && bytes === undefined && maxSent === 0) return;
  change(tables, count.user, (counts) => {
    const now = Date.now();
    if (open !== undefined) {
      const turns = Object.entries(counts.turns ?? {}).filter(
        ([session, [, endsAt]]) => session !== next.session && endsAt > now,
      );
      if (open > 0) turns.push([next.session, [open, now + counting.turnLeaseMs]]);
      counts.turns = Object.fromEntries(turns);
    }
    if (maxSent > 0) counts.sent = [...(counts.sent ?? []), now].slice(-maxSent);
    if (bytes === undefined) return;
    counts.historyBytes = (counts.historyBytes ?? 0) + bytes - (next.counted ?? 0);
    next.counted = bytes;
    if (!counts.complete) countOlder(tables, counts, count.user, next.session);
  });
}

/** The session's part of what its user has. */
export function uncountSession(tables: LmdbTables, row: StoredRow): void {
  if (!tables.counts.doesExist(keyDigest(row.user))) return;
  change(tables, row.user, (counts) => {
    if (row.counted) counts.historyBytes = (counts.historyBytes ?? 0) - row.counted;
    const saved = sumOf(row.saved);
    if (saved > 0) counts.savedBytes = (counts.savedBytes ?? 0) - saved;
    if (counts.turns) delete counts.turns[row.session];
  });
}

/** Sessions that were stored before anything was counted; once for each user. */
function countOlder({ rows, index }: LmdbTables, counts: StoredCounts, user: string, except: string): void {
  for (const [, , session] of Array.from(index.getKeys(keysOfUser(user)))) {
    const row = session === except ? undefined : rows.get(session);
    if (!row?.history || row.counted !== undefined) continue;
    counts.historyBytes = (counts.historyBytes ?? 0) + row.history.bytes;
    void rows.put(session, { ...row, counted: row.history.bytes });
  }
  counts.complete = true;
}

type Run = <T>(operation: string, work: (tables: LmdbTables) => T) => Promise<T>;

export class LmdbCounters implements QuotaCounters {
  readonly #write: Run;
  readonly #read: Run;

  constructor(write: Run, read: Run) {
    this.#write = write;
    this.#read = read;
  }

  claimSandbox(
    claim: SandboxClaim,
    { maxSandboxes, maxWorkspaceBytes }: Pick<Quota, 'maxSandboxes' | 'maxWorkspaceBytes'>,
  ): Promise<QuotaExcess | undefined> {
    return this.#write('claimSandbox', (tables) => {
      const { user, session, server } = claim;
      const now = Date.now();
      const { sandboxes = {}, savedBytes = 0 } = readOf(tables, user);
      const isSaved = tables.rows.get(session)?.saved?.[server] !== undefined;
      if (maxWorkspaceBytes > 0 && savedBytes >= maxWorkspaceBytes && !isSaved) {
        return { limit: 'maxWorkspaceBytes' as const, max: maxWorkspaceBytes, used: savedBytes };
      }
      const held = Object.entries(sandboxes).filter(([, endsAt]) => endsAt > now && endsAt <= now + CLAIM_MS);
      const others = held.filter(([name]) => name !== memberOf(claim));
      if (maxSandboxes > 0 && others.length >= maxSandboxes) {
        return { limit: 'maxSandboxes' as const, max: maxSandboxes, used: others.length };
      }
      change(tables, user, (counts) => {
        counts.sandboxes = Object.fromEntries([...others, [memberOf(claim), now + CLAIM_MS]]);
      });
      return undefined;
    });
  }

  async renewSandboxes(claims: readonly SandboxClaim[]): Promise<void> {
    await this.#write('renewSandboxes', (tables) => {
      const endsAt = Date.now() + CLAIM_MS;
      for (const claim of claims) {
        change(tables, claim.user, (counts) => {
          counts.sandboxes = { ...counts.sandboxes, [memberOf(claim)]: endsAt };
        });
      }
    });
  }

  async releaseSandbox(claim: SandboxClaim): Promise<void> {
    await this.#write('releaseSandbox', (tables) => {
      change(tables, claim.user, ({ sandboxes }) => {
        if (sandboxes) delete sandboxes[memberOf(claim)];
      });
    });
  }

  async noteSaved(session: string, server: string, bytes: number): Promise<void> {
    await this.#write('noteSaved', (tables) => {
      const row = tables.rows.get(session);
      if (!row || (row.saved?.[server] ?? 0) === bytes) return;
      const before = row.saved?.[server] ?? 0;
      void tables.rows.put(session, { ...row, saved: { ...row.saved, [server]: bytes } });
      change(tables, row.user, (counts) => {
        counts.savedBytes = (counts.savedBytes ?? 0) + bytes - before;
      });
    });
  }

  /** One process has the store, and its front counts its connections by itself. */
  async claimSockets(): Promise<undefined> {
    return undefined;
  }

  async renewSockets(): Promise<void> {}

  readCounts(user: string): Promise<UserCounts> {
    return this.#read('readCounts', (tables) => {
      const { turns = {}, sandboxes = {}, savedBytes = 0, historyBytes = 0 } = readOf(tables, user);
      return {
        sessions: tables.index.getKeysCount(keysOfUser(user)),
        turns: Object.values(turns).reduce((sum, [open]) => sum + open, 0),
        sandboxes: Object.keys(sandboxes).length,
        workspaceBytes: savedBytes,
        historyBytes,
      };
    });
  }

  async forgetUser(user: string): Promise<void> {
    await this.#write('forgetCounts', ({ counts }) => void counts.remove(keyDigest(user)));
  }
}

/** Whether the user has so many sessions already. */
export function hasSessions({ index }: LmdbTables, user: string, max: number): boolean {
  return index.getKeysCount({ ...keysOfUser(user), limit: max }) >= max;
}

/** The range of a user's sessions by activity. */
function keysOfUser(user: string): { start: [string]; end: [string, string] } {
  const key = keyDigest(user);
  return { start: [key], end: [key, ''] }; // strings sort after numbers
}

function sumOf(bytes: Record<string, number> = {}): number {
  return Object.values(bytes).reduce((sum, each) => sum + each, 0);
}

function memberOf({ session, server }: SandboxClaim): string {
  return `${session} ${server}`; // neither contains a space
}

function readOf({ counts }: LmdbTables, user: string): StoredCounts {
  return counts.get(keyDigest(user)) ?? {};
}

/** Who has nothing that counts has no record. */
function change({ counts }: LmdbTables, user: string, work: (counts: StoredCounts) => void): void {
  const key = keyDigest(user);
  const record = counts.get(key) ?? {};
  work(record);
  void counts.put(key, record);
}
