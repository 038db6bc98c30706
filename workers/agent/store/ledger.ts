/** The part of the store that counts what is used: budgets, each step atomic, and use by day. Types only; agent threads. */
import type { BudgetRule } from '../../../src/shared/config-budgets.js';

export type BudgetPeriod = BudgetRule['per'];

/** Tokens, and nanos of the currency. */
export interface Sum {
  tokens: number;
  nanos: number;
}

/** What is counted together, and its limits. */
export interface BudgetCounter {
  /** Without the period: the store adds that, by its own clock, so that all servers have the same. */
  id: string;
  per: BudgetPeriod;
  tokens?: number;
  nanos?: number;
}

export interface Reservation {
  /** Chosen by the caller, never twice: retries are known by it. */
  id: string;
  /** At most what the call will use. */
  estimate: Sum;
  counters: readonly BudgetCounter[];
  /** Without a renewal it ends so long after now, by the store's clock: its process has died. */
  leaseMs: number;
}

export type Reserved =
  | { state: 'reserved'; places: string[] }
  /** `at`: the index of the counter. `spent`: nothing is left. `held`: what is left is reserved by calls that run. */
  | { state: 'spent' | 'held'; at: number; level: Level };

export interface Settlement {
  id: string;
  used: Sum;
  counters: readonly BudgetCounter[];
  /** As `reserve` answered: what began in a period counts there. */
  places: readonly string[];
}

export interface Level extends Sum {
  /** When the period ends, ms since the epoch; absent for turns and sessions. */
  endsAt?: number;
}

export interface SettledLevel extends Level {
  /** This settlement is the first of the period with 80 % used. */
  crossed: boolean;
}

/** Of one user in one model, or of one priced tool: what was used since the last batch. */
export interface UsageEntry {
  user: string;
  groups: readonly string[];
  /** A model's name, or `server/tool`. */
  model: string;
  counts: UsageCounts;
}

/** inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, nanos, answers, calls. */
export type UsageCounts = [number, number, number, number, number, number, number];

export interface UsageBatch {
  /** Never twice: a batch whose reply was lost is recognised by it. */
  id: string;
  /** Days since 1970. */
  day: number;
  entries: readonly UsageEntry[];
  keepDays: number;
}

/** `all` has one name, ''. */
export type UsageKind = 'user' | 'group' | 'all';

export interface UsageRow {
  name: string;
  model: string;
  counts: UsageCounts;
}

export interface Ledger {
  /** Reserves from all counters or from none. */
  reserve(reservation: Reservation): Promise<Reserved>;
  /** Ends the reservation, if it is still there, and counts what was used. Idempotent. One level for each counter. */
  settle(settlement: Settlement): Promise<SettledLevel[]>;
  renew(ids: readonly string[], leaseMs: number): Promise<void>;
  levels(counters: readonly BudgetCounter[]): Promise<Level[]>;
  addUsage(batch: UsageBatch): Promise<void>;
  /** Forgets what this user has used on these days, both included; the sums of groups and of all stay. Idempotent. */
  forgetUser(user: string, days: { from: number; to: number }): Promise<void>;
  /** One day's rows; with `name` those of that one alone. `each` gets them piece by piece. */
  readUsage(day: number, of: { kind: UsageKind; name?: string }, each: (row: UsageRow) => void): Promise<void>;
}

/** From this share on people are told. */
export const TOLD_FROM = 0.8;
/** Days and months are kept so long after their end, for clocks that jump. */
export const KEPT_AFTER_MS = 2 * 86_400_000;
/** A session's counter ends so long after its last use. */
export const SESSION_MS = 60 * 86_400_000;
export const TURN_MS = 86_400_000;
/** No lease is longer: an end that is later was set before the clock jumped back. */
export const MAX_LEASE_MS = 120_000;
/** A settlement or batch that is sent again comes within this time. */
export const REPEAT_MS = 600_000;

export function isSpent(used: Sum, limit: BudgetCounter): boolean {
  return used.tokens >= (limit.tokens ?? Infinity) || used.nanos >= (limit.nanos ?? Infinity);
}

export function isNearEnd(used: Sum, limit: BudgetCounter): boolean {
  return used.tokens >= (limit.tokens ?? Infinity) * TOLD_FROM || used.nanos >= (limit.nanos ?? Infinity) * TOLD_FROM;
}

/** The last call that fits no more runs when no other runs, so that a budget can be used up: it may overshoot by that one. */
export function isHeld(used: Sum, held: Sum, estimate: Sum, limit: BudgetCounter): boolean {
  const over = (kind: keyof Sum): boolean =>
    held[kind] > 0 && used[kind] + held[kind] + estimate[kind] > (limit[kind] ?? Infinity);
  return over('tokens') || over('nanos');
}
