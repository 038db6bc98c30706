/** The running turn as its session's row holds it: which calls are open, who is waited for, when to look again. Pure; agent threads. */
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

/** The turn that has begun and not ended; only the first in line can be. */
export function runningTurn({ openTurns }: WithTurns): RunningTurn | undefined {
  const [first] = openTurns;
  return first?.progress && { turn: first.turn, progress: first.progress };
}

/** The open turns with this turn's progress changed. */
export function withProgress(row: WithTurns, turn: number, change: Partial<TurnProgress>): OpenTurn[] {
  return row.openTurns.map((open) =>
    open.turn === turn && open.progress ? { ...open, progress: { ...open.progress, ...change } } : open,
  );
}

/** The open turns without these calls, which have their results. */
export function withoutCalls(row: WithTurns, turn: number, callIds: readonly string[]): OpenTurn[] {
  const calls = runningTurn(row)?.progress.calls ?? [];
  return withProgress(row, turn, { calls: calls.filter(({ callId }) => !callIds.includes(callId)) });
}

export function waitsForApproval(call: OpenCall): call is OpenCall & { expiresAt: number } {
  return call.expiresAt !== undefined;
}

/** The open turns with this call changed. */
export function withCall(row: WithTurns, turn: number, callId: string, change: Partial<OpenCall>): OpenTurn[] {
  const calls = runningTurn(row)?.progress.calls ?? [];
  return withProgress(row, turn, {
    calls: calls.map((call) => (call.callId === callId ? { ...call, ...change } : call)),
  });
}

/** It has started, and rests until the person has answered its server. */
export function waitsForInput(call: OpenCall): boolean {
  return !waitsForApproval(call) && call.input !== undefined;
}

/** Calls that rest and of which nothing is asked any more: they can go on. */
export function answeredCalls({ progress }: RunningTurn): OpenCall[] {
  const asked = new Set(progress.questions?.map(({ of }) => of?.callId));
  return progress.calls.filter((call) => waitsForInput(call) && !asked.has(call.callId));
}

/** Calls that wait for a person's yes. */
export function pendingApprovals(row: WithTurns): (OpenCall & { expiresAt: number })[] {
  return runningTurn(row)?.progress.calls.filter(waitsForApproval) ?? [];
}

/** Nothing runs in it: it goes on when a person answers, or the deadline comes. */
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
    ...calls.filter(waitsForApproval).map(({ allowKey: _allowKey, ...call }): Pending => {
      return { kind: 'approval', turn: running.turn, ...call };
    }),
    ...questions.map(({ of: _of, ...question }): Pending => ({ kind: 'elicitation', ...question })),
  ];
}

/** When the session must be looked at though nobody asks for it: see `Commit.due`. */
export function wakeAtOf(row: WithTurns): number | null {
  if (row.openTurns.length === 0) return null;
  const running = runningTurn(row);
  if (!running || !isSuspended(running)) return Infinity;
  return Math.min(...pendingApprovals(row).map(({ expiresAt }) => expiresAt));
}
