/** The step that accepts a person's message. Pure; agent threads. */
import type { AuditedWho } from '../../../src/shared/audit.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { sameStanding, standingOf, type Standing } from '../../../src/shared/person.js';
import type { DurableEvent, UserBlock } from '../../../src/shared/protocol.js';
import { newProgress } from '../log/progress.js';
import type { Step } from '../log/session-log.js';
import type { OpenTurn, SessionRow } from '../store/store.js';
import { saidOf, titleOf } from './user-content.js';

export interface UserMessage {
  /** The client's own. */
  id?: string;
  requestId?: string;
  content: UserBlock[];
  /** As what the user was let in. */
  standing: Standing;
  /** Who has sent it, for the audit log. */
  sender?: AuditedWho;
}

/**
 * A message with no turn ahead starts its turn in the step that accepts it: one write instead of two. `onStart`: see `Step`;
 * without it no turn starts now.
 */
export function acceptStep(
  row: SessionRow,
  { id, requestId, content, blocks, standing, sender }: UserMessage & { blocks: unknown[] },
  onStart: Step['onStart'],
): Step {
  const turn = row.turns + 1;
  const queued = row.openTurns.length;
  const named = { turn, ...(id === undefined ? {} : { id }) };
  const openTurn: OpenTurn = {
    ...named,
    ...(requestId === undefined ? {} : { requestId }),
    ...(onStart ? { progress: newProgress(row.model) } : { waiting: blocks }),
  };
  const accepted: DurableEvent = { type: 'message:accepted', ...named, queued, said: saidOf(content) };
  const shared = {
    ...(sender && { audit: { who: sender } }),
    ...(id === undefined ? {} : { accept: { id, turn } }),
    row: {
      turns: turn,
      lastActiveAt: Date.now(),
      openTurns: [...row.openTurns, openTurn],
      ...(sameStanding(standingOf(row.who), standing) ? {} : { who: standing }),
      ...(row.title === '' ? { title: titleOf(content) } : {}),
    },
  };
  if (!onStart) return { ...shared, events: [accepted] };
  return {
    ...shared,
    events: [accepted, { type: 'turn:start', turn }],
    messages: [{ role: 'user', content: blocks }],
    onStart,
  };
}

export function tooManyInFlight(max: number): FairleadError {
  return new FairleadError('ERR_TOO_MANY_REQUESTS', `${max} messages are in flight; wait for a turn to end`, {
    retryAfterMs: 1000,
  });
}
