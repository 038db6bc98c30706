/** The calls of one session that wait for a person's yes. Runs in agent threads. */
import { FairleadError } from '../../src/errors.js';
import type { PendingApproval } from '../../src/protocol.js';
import type { Deadlines } from './deadlines.js';
import { toolKey } from './policy.js';
import type { KnownTool } from './mcp/tool-names.js';

export type Decision =
  | { approved: true; args: Record<string, unknown>; edited: boolean }
  | { approved: false; by: 'user' | 'policy' | 'timeout' | 'cancel'; reason?: string };

export interface WaitingCall {
  pending: PendingApproval;
  tool: KnownTool;
}

interface Entry extends WaitingCall {
  settle: (decision: Decision) => void;
  cancelDeadline: () => void;
}

/**
 * A call is asked for, then taken exactly once: by an answer, by the deadline, or by the turn's end. Who takes it
 * writes its event and settles it.
 */
export class Approvals {
  readonly #deadlines: Deadlines;
  readonly #entries = new Map<string, Entry>();

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines;
  }

  list(): PendingApproval[] {
    return [...this.#entries.values()].map((entry) => entry.pending);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** `onTimeout` is called, with the call still waiting, when nobody has answered in time. */
  ask(
    call: { pending: Omit<PendingApproval, 'expiresAt' | 'kind'>; tool: KnownTool },
    onTimeout: (callId: string) => void,
  ): { pending: PendingApproval; decision: Promise<Decision> } {
    const { callId } = call.pending;
    const deadline = this.#deadlines.add(() => onTimeout(callId));
    const pending: PendingApproval = { kind: 'approval', ...call.pending, expiresAt: deadline.expiresAt };
    const decision = new Promise<Decision>((settle) => {
      this.#entries.set(callId, { pending, tool: call.tool, settle, cancelDeadline: deadline.cancel });
    });
    return { pending, decision };
  }

  /** ERR_CALL_NOT_PENDING. */
  peek(callId: string): WaitingCall {
    return this.#find(callId);
  }

  /** From now on the call waits no more; the caller settles it once its event is stored. ERR_CALL_NOT_PENDING. */
  take(callId: string): (decision: Decision) => void {
    const entry = this.#find(callId);
    this.#entries.delete(callId);
    entry.cancelDeadline();
    return entry.settle;
  }

  /** Waiting calls of the same tool, which a «yes, always» answers too. */
  sameTool(key: string): WaitingCall[] {
    return [...this.#entries.values()].filter((entry) => toolKey(entry.tool) === key);
  }

  #find(callId: string): Entry {
    const entry = this.#entries.get(callId);
    if (!entry) throw new FairleadError('ERR_CALL_NOT_PENDING', `call ${callId} is not waiting for an answer`);
    return entry;
  }
}
