/** What both stores share: session rows as flat text fields, checks of a commit, page cursors. Pure; agent threads. */
import { FairleadError } from '../../../src/shared/errors.js';
import type { Standing } from '../../../src/shared/person.js';
import type { Commit, HistorySize, LoggedEvent, LossNote, ModelContext, OpenTurn, SessionRow } from './store.js';

/** The stored fields of a row, in the order in which they are read. */
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
  'seen',
  'history',
  'losses',
  'withheld',
  'who',
  'image',
] as const satisfies readonly (keyof SessionRow)[];

/** The text as JSON writes it, without quotes: it stays readable, and lone surrogates and NUL survive UTF-8 and C strings. */
export function escapeText(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

export function unescapeText(text: string): string {
  return JSON.parse(`"${text}"`) as string;
}

/** The given fields of a row as [field, value, field, value, …]. */
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

/** `values` are those of ROW_FIELDS, in that order. Undefined when there is no such row. */
export function rowFromValues(values: readonly (string | null)[]): SessionRow | undefined {
  const [
    session,
    user,
    model,
    title,
    createdAt,
    lastActiveAt,
    seq,
    turns,
    openTurns,
    allowed,
    owner,
    context,
    ...newer
  ] = values;
  const [seen, history, losses, withheld, who, image] = newer;
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
    ...(seen ? { seen: JSON.parse(seen) as string[] } : {}),
    ...(history ? { history: JSON.parse(history) as HistorySize } : {}),
    ...(typeof losses === 'string' ? { losses: JSON.parse(losses) as LossNote[] } : {}),
    ...(withheld ? { withheld: JSON.parse(withheld) as string[] } : {}),
    ...(who ? { who: JSON.parse(who) as Standing } : {}),
    ...(image ? { image: unescapeText(image) } : {}),
  };
}

/** ERR_INTERNAL for a commit that no store can keep: a bug of the caller, found before anything is sent. */
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

/** A position in a list sorted by activity and session, both descending. */
export interface ListPlace {
  at: number;
  session: string;
}

export function placeToCursor({ at, session }: ListPlace): string {
  return Buffer.from(`${at} ${session}`, 'utf8').toString('base64url');
}

/** ERR_BAD_FRAME for a cursor that no page returned: cursors come from clients. */
export function placeFromCursor(cursor: string): ListPlace {
  const match = /^(\d{1,16}) ([\w-]+)$/.exec(Buffer.from(cursor, 'base64url').toString('utf8'));
  if (match?.[1] === undefined || match[2] === undefined) {
    throw new FairleadError('ERR_BAD_FRAME', 'cursor: not one that a page returned');
  }
  return { at: Number(match[1]), session: match[2] };
}
