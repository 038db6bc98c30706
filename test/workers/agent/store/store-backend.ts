/** What the store suite needs of each store: more instances, a look at the raw data; and the rows, events and messages that it writes. */
import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Test } from 'tap';
import { isFairleadError } from '../../../../src/shared/errors.js';
import type {
  LoggedEvent,
  SessionRow,
  Store,
  StoreLimits,
  StoreOptions,
  TranscriptMessage,
} from '../../../../workers/agent/store/store.js';

export const LIMITS: StoreLimits = {
  maxEvents: 50,
  maxBytes: 10_000_000,
  maxAgeMs: 60_000,
  maxMessageIds: 5,
  timeoutMs: 5000,
};
export const OWNER = 'server-1';

export interface Backend {
  /** Another instance on the same data, of OWNER unless given; closed at the end of `t`. */
  open(t: Test, options?: Partial<Omit<StoreOptions, 'limits'>> & { limits?: Partial<StoreLimits> }): Promise<Store>;
  /** Every raw key or entry that names the session or user. */
  traces(name: string): Promise<string[]>;
  /** Number of entries in the session's history. */
  historyEntries(session: string): Promise<number>;
  /** The bytes in the session's log, as the store counts them. */
  logBytes(session: string): Promise<number>;
}

export function newRow(over: Partial<SessionRow> = {}): SessionRow {
  const session = randomBytes(16).toString('base64url');
  return {
    session,
    user: `user-${session}`,
    model: 'model-1',
    title: '',
    createdAt: 1_000,
    lastActiveAt: 1_000,
    seq: 0,
    turns: 0,
    openTurns: [],
    allowed: [],
    owner: OWNER,
    context: null,
    ...over,
  };
}

export function events(first: number, count = 1, text = 'x'): LoggedEvent[] {
  return Array.from({ length: count }, (_, i) => ({ seq: first + i, json: JSON.stringify({ seq: first + i, text }) }));
}

export function say(text: string, role: TranscriptMessage['role'] = 'user'): TranscriptMessage {
  return { role, content: [{ type: 'text', text }] };
}

export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'ok';
  } catch (error) {
    return isFairleadError(error) ? error.code : `foreign: ${String(error)}`;
  }
}

export interface Deferred<T> {
  promise: Promise<T>;
  resolve: (value: T) => void;
}

export function deferred<T>(): Deferred<T> {
  const made: Partial<Deferred<T>> = {};
  made.promise = new Promise<T>((resolve) => (made.resolve = resolve));
  return made as Deferred<T>;
}

/** Polls `ready`, whose round trips to the store turn the event loop; the test's timeout ends it. */
export async function until(ready: () => Promise<boolean>): Promise<void> {
  while (!(await ready())) await nextTurn();
}

export async function newSession(store: Store, over: Partial<SessionRow> = {}): Promise<SessionRow> {
  const row = newRow(over);
  await store.createSession(row);
  return row;
}

export const ODD_TEXTS = [
  '',
  'plain',
  '{braces}*?[a]',
  'a\0b',
  '\ud800 lone',
  '🚀 ünï "quoted" \\ \n',
  'x'.repeat(3000),
  '__proto__',
];
