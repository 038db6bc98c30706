/** What a new subscriber is sent first: session:ready, the replay, the blocks that are streaming. Agent threads. */
import { FairleadError } from '../../../src/shared/errors.js';
import { standingOf, type Who } from '../../../src/shared/person.js';
import type { ServerEvent } from '../../../src/shared/protocol.js';
import type { LoggedEvent, ReadEvents, Store } from '../store/store.js';
import type { OutFrame } from '../contract/sessions.js';
import { loggedFrame, passingFrame } from '../log/frames.js';
import { readPage } from './history-reader.js';
import type { Session } from './session.js';
import type { AgentParts } from '../turn/turn.js';

/** The default limit of a log, so nearly every replay is one read. */
const PAGE = 1_000;
/** Of the transcript that comes with a reset; older ones are read page by page. */
const RESET_MESSAGES = 200;

/**
 * Without `after` the subscriber joins now; 0 replays all that the log has. When the log does not reach back to `after`,
 * session:ready has `reset` and the transcript instead. ERR_BAD_FRAME when `after` is ahead of the log.
 */
export async function attachFrames(
  session: Session,
  store: Store,
  parts: AgentParts,
  options: { after?: number; resumed: boolean; who?: Who | undefined },
): Promise<{ frames: OutFrame[]; seq: number }> {
  const { after, resumed, who } = options;
  const { row } = session;
  if (after !== undefined && after > row.seq) {
    // Another server has taken the session over, and this one notices only at its next commit.
    const stored = await store.readSession(row.session);
    if (stored && stored.seq >= after) {
      throw new FairleadError('ERR_UNAVAILABLE', 'the session is on another server', { retryAfterMs: 1_000 });
    }
    throw new FairleadError('ERR_BAD_FRAME', `after=${after} is ahead of the session, whose newest seq is ${row.seq}`);
  }
  const replay: LoggedEvent[] = [];
  let reset: ResetFields | undefined;
  if (after !== undefined && after < row.seq) {
    const first = await store.readEvents(row.session, after, PAGE);
    if (after > 0 && hasGap(after, first)) {
      // Between two steps: a step that is committed meanwhile would be sent twice, or not at all.
      reset = await session.log.between(() => readReset(store, row.session));
    } else {
      replay.push(...first.events);
      await readOn(session, store, replay, after);
    }
  }
  // No await from here to the answer: earlier events are in the replay, and later ones are sent after it.
  parts.outbox.flush();
  const { maxFrameBytes, maxInFlight } = parts.config.limits;
  const ready: Extract<ServerEvent, { type: 'session:ready' }> = {
    type: 'session:ready',
    session: row.session,
    seq: row.seq,
    resumed,
    model: row.model,
    pending: session.pending(),
    limits: { maxFrameBytes, maxInFlight },
    user: row.user,
    role: standingOf(who).role,
    ...(who?.expiresAt !== undefined && { expiresAt: who.expiresAt }),
    ...reset,
  };
  const frames = [
    passingFrame(ready),
    ...replay.filter((event) => event.seq <= row.seq).map(loggedFrame),
    ...liveFrames(session),
  ];
  return { frames, seq: row.seq };
}

type ResetFields = Pick<Extract<ServerEvent, { type: 'session:ready' }>, 'reset' | 'transcript' | 'transcriptNext'>;

/** The newest part of the transcript. */
async function readReset(store: Store, session: string): Promise<ResetFields> {
  const { json, next } = await readPage(store, session, { limit: RESET_MESSAGES });
  const transcript = JSON.parse(json) as NonNullable<ResetFields['transcript']>;
  return { reset: true, transcript, ...(next !== undefined && { transcriptNext: next }) };
}

/** The durable events after `after`, up to `seq`. Undefined: the log does not reach back to `after`. */
export async function replayFrames(
  session: string,
  store: Store,
  { after, seq }: { after: number; seq: number },
): Promise<OutFrame[] | undefined> {
  const frames: OutFrame[] = [];
  for (;;) {
    const last = frames.at(-1)?.seq ?? after;
    if (last >= seq) return frames;
    const read = await store.readEvents(session, last, PAGE);
    if (read.events.length === 0 || hasGap(last, read)) return undefined;
    frames.push(...read.events.map(loggedFrame));
  }
}

function hasGap(after: number, { oldest }: ReadEvents): boolean {
  return oldest === 0 || after < oldest - 1;
}

/** The blocks that are streaming, whole. */
export function liveFrames(session: Session): OutFrame[] {
  return session.snapshot().map(passingFrame);
}

/** The session may go on meanwhile: reads pages until the replay has caught up with the row. */
async function readOn(session: Session, store: Store, replay: LoggedEvent[], after: number): Promise<void> {
  for (;;) {
    const last = replay.at(-1)?.seq ?? after;
    if (last >= session.row.seq) return;
    const { events } = await store.readEvents(session.id, last, PAGE);
    if (events.length === 0) return;
    replay.push(...events);
  }
}
