/** What a new subscriber sees first: session:ready, the replay, what is streaming now. Runs in agent threads. */
import { FairleadError } from '../../src/errors.js';
import type { ServerEvent } from '../../src/protocol.js';
import type { LoggedEvent, Store } from '../../src/store/store.js';
import type { OutFrame } from './messages.js';
import type { Session } from './session.js';
import type { AgentParts } from './turn.js';

const PAGE = 500;

/**
 * `after` undefined joins now; 0 replays all that the log still holds; a log that no longer reaches back to `after`
 * answers `reset` with the transcript. ERR_BAD_FRAME when `after` is ahead of the log.
 */
export async function attachFrames(
  session: Session,
  store: Store,
  parts: AgentParts,
  options: { after?: number; resumed: boolean },
): Promise<OutFrame[]> {
  const { after, resumed } = options;
  const { row } = session;
  if (after !== undefined && after > row.seq) {
    throw new FairleadError('ERR_BAD_FRAME', `after=${after} is ahead of the session, whose newest seq is ${row.seq}`);
  }
  const replay: LoggedEvent[] = [];
  let reset: { reset: true; transcript: { role: 'user' | 'assistant'; content: unknown[] }[] } | undefined;
  if (after !== undefined && after < row.seq) {
    const first = await store.readEvents(row.session, after, PAGE);
    if (after > 0 && (first.oldest === 0 || after < first.oldest - 1)) {
      // Between two steps: a step that lands meanwhile would be in the transcript and be sent again, or be in neither.
      reset = { reset: true, transcript: await session.log.between(() => store.readHistory(row.session)) };
    } else {
      replay.push(...first.events);
      await readOn(session, store, replay, after);
    }
  }
  // From here to the answer nothing waits: what was sent before is in the replay, what comes later is sent after it.
  parts.outbox.flush();
  const { maxFrameBytes, maxInFlight } = parts.config.limits;
  const ready: ServerEvent = {
    type: 'session:ready',
    session: row.session,
    seq: row.seq,
    resumed,
    model: row.model,
    pending: session.pending(),
    limits: { maxFrameBytes, maxInFlight },
    ...reset,
  };
  return [
    { json: JSON.stringify(ready), seq: 0 },
    ...replay.filter((event) => event.seq <= row.seq),
    ...liveFrames(session),
  ];
}

/** The blocks now streaming, whole. */
export function liveFrames(session: Session): OutFrame[] {
  return session.snapshot().map((event) => ({ json: JSON.stringify(event), seq: 0 }));
}

/** The session goes on while its log is read: pages until the replay has caught up with what clients have been sent. */
async function readOn(session: Session, store: Store, replay: LoggedEvent[], after: number): Promise<void> {
  for (;;) {
    const last = replay.at(-1)?.seq ?? after;
    if (last >= session.row.seq) return;
    const { events } = await store.readEvents(session.id, last, PAGE);
    if (events.length === 0) return;
    replay.push(...events);
  }
}
