/** Messages about what is used and what is left. Types only. */
import type { BudgetLeft } from '../../../src/shared/protocol.js';

export interface ReadUsageRequest {
  by: 'user' | 'group' | 'model' | 'day';
  /** Days since 1970, both included. */
  from: number;
  to: number;
  /** Of this user alone. */
  user?: string;
  /** Names behind this one. */
  after?: string;
  limit: number;
}

export interface UsageLine {
  /** The user, the group, the model or priced tool, or the day. */
  name: string;
  inputTokens: number;
  outputTokens: number;
  cacheReadTokens: number;
  cacheWriteTokens: number;
  /** In `prices.currency`; what had no price counts as 0. */
  amount: number;
  /** Of models. */
  answers: number;
  /** Of priced tools. */
  calls: number;
}

export interface ReadUsageResult {
  currency: string;
  /** By name. */
  rows: UsageLine[];
  /** `after` of the next page; absent: this was the last. */
  next?: string;
}

/** What there is of a user beside credentials. */
export interface UserFacts {
  sessions: number;
  /** Of the session that was used last, ms since the epoch. */
  lastActiveAt?: number;
  /** Saved workspaces and histories, where they are counted for a limit. */
  workspaceBytes: number;
  historyBytes: number;
  /** Of this month; absent: nothing. */
  usage?: UsageLine & { currency: string };
  /** There is use on a day that is remembered. */
  hasUsed: boolean;
}

export interface ListUsersRequest {
  /** Names behind this one; '' is before all. */
  after: string;
  limit: number;
}

/** A user of whom the store has something. */
export interface StoredUser {
  user: string;
  sessions: number;
  /** The last activity in a session; without sessions the day of the last use. ms since the epoch. */
  lastSeenAt?: number;
}

export interface ListUsersResult {
  /** By name. A page may have fewer than `limit` and a `next`. */
  users: StoredUser[];
  /** No user up to this name is missing; `after` of the next page. Absent: there are no more. */
  next?: string;
}

export type UsageRequests = {
  /** Any thread answers. */
  'list-users': { request: ListUsersRequest; result: ListUsersResult };
  /** Any thread answers. */
  'user-facts': { request: { user: string }; result: UserFacts };
  /** Forgets counters and use of a user who has no sessions any more. Asked of every thread, since each may hold use that is not stored yet. */
  'forget-user': { request: { user: string }; result: null };
  /** Any thread answers. What was used within the last second may be missing. */
  'read-usage': { request: ReadUsageRequest; result: ReadUsageResult };
  /** What is left of the budgets by day and month of this user and these groups. */
  'budgets-left': { request: { user: string; groups: readonly string[] }; result: { budgets: BudgetLeft[] } };
};
