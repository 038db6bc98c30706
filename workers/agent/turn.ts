/** One running turn: what its loop, its calls and its session share. Types and small pure parts; agent threads. */
import type { Config } from '../../src/config.js';
import { FairleadError } from '../../src/errors.js';
import type { StopReason, Usage, WireError } from '../../src/protocol.js';
import type { Approvals } from './approvals.js';
import type { LiveText } from './live-text.js';
import type { Sandboxes } from './mcp/sandboxes.js';
import type { ToolArgs } from './mcp/tool-args.js';
import type { ToolSet } from './mcp/tool-names.js';
import type { Model } from './model/model.js';
import type { Outbox } from './outbox.js';
import type { Policy } from './policy.js';
import type { SessionLog } from './session-log.js';

/** What all sessions of a thread share. */
export interface AgentParts {
  config: Config;
  model: Model;
  policy: Policy;
  sandboxes: Sandboxes;
  toolArgs: ToolArgs;
  outbox: Outbox;
  toolSet: () => ToolSet;
}

export interface Turn {
  readonly turn: number;
  readonly parts: AgentParts;
  readonly log: SessionLog;
  readonly live: LiveText;
  readonly approvals: Approvals;
  /** Aborts with TurnStop as its reason. */
  readonly signal: AbortSignal;
  readonly startedAt: number;
  readonly usage: Usage;
  /** Blocks of earlier rounds: the next answer's blocks are numbered from here. */
  blocks: number;
  model: string;
  /** Called at the first streamed text. */
  onFirstToken: () => void;
  /** Called when calls of this turn have begun to wait for a person. */
  onAsked: () => void;
  onApprovalTimeout: (callId: string) => void;
}

export type TurnStop = 'cancelled' | 'interrupted';

export interface TurnOutcome {
  stopReason: StopReason;
  error?: WireError;
}

export function stopOf(signal: AbortSignal): TurnStop {
  return signal.reason === 'interrupted' ? 'interrupted' : 'cancelled';
}

export const NO_USAGE: Usage = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 };

export function addUsage(sum: Usage, more: Usage): void {
  sum.inputTokens += more.inputTokens;
  sum.outputTokens += more.outputTokens;
  sum.cacheReadTokens += more.cacheReadTokens;
  sum.cacheWriteTokens += more.cacheWriteTokens;
}

/** Rejects with ERR_CANCELLED as soon as the signal aborts, whatever `work` does; its late result is dropped. Aborted already: it does not begin. */
export async function abortable<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) throw cancelled();
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(cancelled());
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work(), aborted]);
  } finally {
    if (onAbort) signal.removeEventListener('abort', onAbort);
  }
}

function cancelled(): FairleadError {
  return new FairleadError('ERR_CANCELLED', 'cancelled');
}
