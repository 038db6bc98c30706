/** One running turn: what its loop, its calls and its session share. Types and small pure parts; agent threads. */
import type { Config } from '../../../src/shared/config.js';
import { FairleadError } from '../../../src/shared/errors.js';
import type { StopReason, Usage, WireError } from '../../../src/shared/protocol.js';
import type { OpenCall } from '../store/store.js';
import type { LiveText } from './live-text.js';
import type { ToolCatalogue } from '../mcp/catalogue/tool-catalogue.js';
import type { Caller, ServerAsks } from '../mcp/host/server-connection.js';
import type { McpServers } from '../mcp/servers.js';
import type { ToolArgs } from '../mcp/calls/tool-args.js';
import type { ToolSet } from '../mcp/catalogue/tool-names.js';
import type { Model } from '../model/model.js';
import type { Outbox } from '../log/outbox.js';
import type { Policy } from '../mcp/calls/policy.js';
import type { Questions } from './questions.js';
import type { SessionLog } from '../log/session-log.js';

/** What all sessions of a thread share. */
export interface AgentParts {
  config: Config;
  model: Model;
  policy: Policy;
  servers: McpServers;
  toolArgs: ToolArgs;
  outbox: Outbox;
  /** The tools that this session of the user has now. */
  toolSet: (caller: Caller) => ToolSet;
  catalogue: ToolCatalogue;
}

export interface Turn {
  readonly turn: number;
  readonly parts: AgentParts;
  readonly log: SessionLog;
  readonly live: LiveText;
  readonly asks: ServerAsks;
  readonly questions: Questions;
  /** Aborts with TurnStop as its reason. */
  readonly signal: AbortSignal;
  /** Runs a call whose start is stored. */
  readonly startCall: (call: StartedCall) => void;
  /** Called at each streamed text. */
  readonly onText: () => void;
}

export interface StartedCall extends OpenCall {
  /** A person has changed the arguments: the model is told. */
  edited?: boolean;
}

export type TurnStop = 'cancelled' | 'interrupted';

export interface TurnOutcome {
  stopReason: StopReason;
  error?: WireError;
}

export function stopOf(signal: AbortSignal): TurnStop {
  return signal.reason === 'interrupted' ? 'interrupted' : 'cancelled';
}

export const NO_USAGE: Readonly<Usage> = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 };

export function addUsage(sum: Readonly<Usage>, more: Readonly<Usage>): Usage {
  return {
    inputTokens: sum.inputTokens + more.inputTokens,
    outputTokens: sum.outputTokens + more.outputTokens,
    cacheReadTokens: sum.cacheReadTokens + more.cacheReadTokens,
    cacheWriteTokens: sum.cacheWriteTokens + more.cacheWriteTokens,
  };
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

export function cancelled(): FairleadError {
  return new FairleadError('ERR_CANCELLED', 'cancelled');
}
