/** Session rows as flat text fields, users as key parts, page cursors: what both stores share. Pure; runs in agent threads. */
import { FairleadError } from '../../../src/shared/errors.js';
import type { Commit, LoggedEvent, ModelContext, OpenTurn, SessionRow } from './store.js';

/** The order in which row fields are read. */
export const ROW_FIELDS = [
  'session',
  'user',
  'model',
  'title',
  'createdAt',
  'lastActiveAt',
  'seq',
  'turns',
  'openTurns',
  'allowed',
  'owner',
  'context',
] as const satisfies readonly (keyof SessionRow)[];

/** As JSON writes it, without the quotes: readable, and lone surrogates and NUL survive UTF-8 and C strings. */
export function escapeText(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

export function unescapeText(text: string): string {
  return JSON.parse(`"${text}"`) as string;
}

/** Field, value, field, value… of the given parts of a row. */
export function rowToFields(row: Partial<SessionRow>): string[] {
  const fields: string[] = [];
  for (const name of ROW_FIELDS) {
    const value = row[name];
    if (value === undefined) continue;
    if (typeof value === 'string') fields.push(name, escapeText(value));
    else fields.push(name, typeof value === 'number' ? String(value) : JSON.stringify(value));
  }
  return fields;
}

/** The values of ROW_FIELDS, in that order; undefined when there is no such row. */
export function rowFromValues(values: readonly (string | null)[]): SessionRow | undefined {
  const [session, user, model, title, createdAt, lastActiveAt, seq, turns, openTurns, allowed, owner, context] = values;
  if (typeof session !== 'string') return undefined;
  return {
    session: unescapeText(session),
    user: unescapeText(user ?? ''),
    model: unescapeText(model ?? ''),
    title: unescapeText(title ?? ''),
    createdAt: Number(createdAt ?? 0),
    lastActiveAt: Number(lastActiveAt ?? 0),
    seq: Number(seq ?? 0),
    turns: Number(turns ?? 0),
    openTurns: JSON.parse(openTurns ?? '[]') as OpenTurn[],
    allowed: JSON.parse(allowed ?? '[]') as string[],
    owner: unescapeText(owner ?? ''),
    context: JSON.parse(context ?? 'null') as ModelContext | null,
  };
}

/** A commit that no store could keep is the caller's mistake, found before anything is sent. */
export function checkCommit(session: string, commit: Commit): void {
  const first = commit.events[0]?.seq ?? 1;
  const gap = commit.events.findIndex((event: LoggedEvent, index) => event.seq !== first + index);
  if (first < 1 || gap >= 0) {
    throw new FairleadError('ERR_INTERNAL', `session ${session}: the seqs of a commit have a gap at event ${gap}`);
  }
  if (Number.isNaN(commit.wakeAt))
    throw new FairleadError('ERR_INTERNAL', `session ${session}: wakeAt is not a number`);
}

export function conflict(session: string, why: string): FairleadError {
  return new FairleadError('ERR_STORE_CONFLICT', `session ${session}: ${why}`);
}

/** A place in a list that is sorted by activity and session, both falling. */
export interface ListPlace {
  at: number;
  session: string;
}

export function placeToCursor({ at, session }: ListPlace): string {
  return Buffer.from(`${at} ${session}`, 'utf8').toString('base64url');
}

/** ERR_BAD_FRAME for what no page gave out: it comes from a client. */
export function placeFromCursor(cursor: string): ListPlace {
  const match = /^(\d{1,16}) ([\w-]+)$/.exec(Buffer.from(cursor, 'base64url').toString('utf8'));
  if (match?.[1] === undefined || match[2] === undefined) {
    throw new FairleadError('ERR_BAD_FRAME', 'cursor: not one that a page gave out');
  }
  return { at: Number(match[1]), session: match[2] };
}
