/** The running turn as its session's row stores it: which calls are open, what they wait for, when to wake it. Pure; agent threads. */
import type { Pending } from '../../../src/shared/protocol.js';
import type { OpenCall, OpenTurn, SessionRow, TurnProgress } from '../store/store.js';
import { NO_USAGE } from './usage.js';

export type WithTurns = Pick<SessionRow, 'openTurns'>;

export interface RunningTurn {
  turn: number;
  progress: TurnProgress;
}

export function newProgress(model: string): TurnProgress {
  return { startedAt: Date.now(), rounds: 0, blocks: 0, usage: { ...NO_USAGE }, model, resumed: 0, calls: [] };
}

/** The turn that has begun and not ended; it can only be the first in the queue. */
export function runningTurn({ openTurns }: WithTurns): RunningTurn | undefined {
  const [first] = openTurns;
  return first?.progress && { turn: first.turn, progress: first.progress };
}

/** The open turns, with this turn's progress changed. */
export function withProgress(row: WithTurns, turn: number, change: Partial<TurnProgress>): OpenTurn[] {
  return row.openTurns.map((open) =>
    open.turn === turn && open.progress ? { ...open, progress: { ...open.progress, ...change } } : open,
  );
}

/** The open turns, without these calls of this turn. */
export function withoutCalls(row: WithTurns, turn: number, callIds: readonly string[]): OpenTurn[] {
  const calls = runningTurn(row)?.progress.calls ?? [];
  return withProgress(row, turn, { calls: calls.filter(({ callId }) => !callIds.includes(callId)) });
}

/** Whether the call waits for the user's approval. Otherwise it has started. */
export function waitsForApproval(call: OpenCall): call is OpenCall & { expiresAt: number } {
  return call.expiresAt !== undefined;
}

/** The open turns, with this call changed. */
export function withCall(row: WithTurns, turn: number, callId: string, change: Partial<OpenCall>): OpenTurn[] {
  const calls = runningTurn(row)?.progress.calls ?? [];
  return withProgress(row, turn, {
    calls: calls.map((call) => (call.callId === callId ? { ...call, ...change } : call)),
  });
}

/** Whether the call has started and waits for the user's answer to its server. */
export function waitsForInput(call: OpenCall): boolean {
  return !waitsForApproval(call) && call.input !== undefined;
}

/** Calls that wait for input with no question left: they can go on. */
export function answeredCalls({ progress }: RunningTurn): OpenCall[] {
  const asked = new Set(progress.questions?.map(({ of }) => of?.callId));
  return progress.calls.filter((call) => waitsForInput(call) && !asked.has(call.callId));
}

/** Calls that wait for the user's approval. */
export function pendingApprovals(row: WithTurns): (OpenCall & { expiresAt: number })[] {
  return runningTurn(row)?.progress.calls.filter(waitsForApproval) ?? [];
}

/** Whether nothing runs in the turn until the user answers or a deadline comes. */
export function isSuspended(running: RunningTurn): boolean {
  const { calls } = running.progress;
  if (calls.length === 0 || !calls.every((call) => waitsForApproval(call) || waitsForInput(call))) return false;
  return answeredCalls(running).length === 0;
}

export function pendingOf(row: WithTurns): Pending[] {
  const running = runningTurn(row);
  if (!running) return [];
  const { calls, questions = [] } = running.progress;
  return [
    ...calls.filter(waitsForApproval).map(({ allowKey: _allowKey, shownParts: _shownParts, ...call }): Pending => {
      return { kind: 'approval', turn: running.turn, ...call };
    }),
    ...questions.map(({ of: _of, ...question }): Pending => ({ kind: 'elicitation', ...question })),
  ];
}

/** When the session must be woken: see `Commit.wakeAt`. */
export function wakeAtOf(row: WithTurns): number | null {
  if (row.openTurns.length === 0) return null;
  const running = runningTurn(row);
  if (!running || !isSuspended(running)) return Infinity;
  return Math.min(...pendingApprovals(row).map(({ expiresAt }) => expiresAt));
}
