/** Losses of a session's files: the step that tells clients, and what the model is told with the next result. Pure; agent threads. */
import { lossText } from '../../../src/shared/loss-text.js';
import type { Loss } from '../../docker/contract/messages.js';
import type { LossNote, SessionRow } from '../store/store.js';
import type { SessionLog, Step } from './session-log.js';

/** The docker thread repeats only what was not confirmed, so older ids need not be known. */
const KEPT = 20;

/** Undefined when the log has this loss already. */
export function lossStep({ losses = [] }: Pick<SessionRow, 'losses'>, loss: Loss): Step | undefined {
  const { id, session: _session, ...lost } = loss;
  if (losses.some((known) => known.id === id)) return undefined;
  const note: LossNote = { id, server: lost.server, text: lossText(lost) };
  return { events: [{ type: 'sandbox:lost', ...lost }], row: { losses: [...losses, note].slice(-KEPT) } };
}

export interface LossNotes {
  /** Before the content of the next tool result of that server. */
  content: { type: 'text'; text: string }[];
  /** Stored together with that result. */
  row: Pick<SessionRow, 'losses'>;
}

/** What no tool result of this server has said yet. */
export function lossNotes({ losses = [] }: Pick<SessionRow, 'losses'>, server: string): LossNotes {
  const isNew = (note: LossNote): boolean => note.server === server && note.told !== true;
  const content = losses.filter(isNew).map(({ text }) => ({ type: 'text' as const, text: `[${text}]` }));
  if (content.length === 0) return { content, row: {} };
  return { content, row: { losses: losses.map((note) => (isNew(note) ? { ...note, told: true } : note)) } };
}

/** What no result of this server has said yet. It counts as said. */
export async function takeLossNotes(
  log: Pick<SessionLog, 'row' | 'commit'>,
  server: string,
): Promise<LossNotes['content']> {
  if (lossNotes(log.row, server).content.length === 0) return [];
  let notes = lossNotes({}, server);
  await log.commit(() => {
    notes = lossNotes(log.row, server);
    return notes.content.length > 0 ? { events: [], row: notes.row } : undefined;
  });
  return notes.content;
}
