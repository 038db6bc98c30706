/** A running turn, as its loop, its calls and its session share it. Types and a pure function; agent threads. */
import type { Config } from '../../../src/shared/config.js';
import type { StopReason, TurnWaiting, WireError } from '../../../src/shared/protocol.js';
import type { StatFileRequest, StatFileResult } from '../../docker/contract/files.js';
import type { OpenCall } from '../store/store.js';
import type { Asked } from './ask-model.js';
import type { Images } from '../images/images.js';
import type { LiveText } from './live-text.js';
import type { ToolCatalogue } from '../mcp/catalogue/tool-catalogue.js';
import type { Caller, ServerAsks } from '../mcp/host/server-connection.js';
import type { McpServers } from '../mcp/servers.js';
import type { ToolArgs } from '../mcp/calls/tool-args.js';
import type { ToolSet } from '../mcp/catalogue/tool-names.js';
import type { Meter } from '../budget/meter.js';
import type { Model } from '../model/model.js';
import type { ModelPlaces } from '../model/model-places.js';
import type { Outbox } from '../log/outbox.js';
import type { Policy } from '../mcp/calls/policy.js';
import type { ForeignSchemas } from '../schema/foreign-schemas.js';
import type { ServerQuestions } from './questions.js';
import type { SessionLog } from '../log/session-log.js';

/** Parts that all sessions of a thread share. */
export interface AgentParts {
  config: Config;
  model: Model;
  places: ModelPlaces;
  /** All calls of the model go through it, and those of priced tools. */
  meter: Meter;
  policy: Policy;
  servers: McpServers;
  schemas: ForeignSchemas;
  toolArgs: ToolArgs;
  outbox: Outbox;
  images: Images;
  /** What a file of the session's workspace is. Errors as DockerTasks['open-file']. */
  statFile: (of: StatFileRequest, timeoutMs: number) => Promise<StatFileResult>;
  /** The tools that the caller's session has now. */
  toolSet: (caller: Caller) => ToolSet;
  catalogue: ToolCatalogue;
}

export interface Turn {
  readonly turn: number;
  readonly parts: AgentParts;
  readonly log: SessionLog;
  readonly live: LiveText;
  readonly asks: ServerAsks;
  readonly questions: ServerQuestions;
  /** The reason of its abort is a TurnStop. */
  readonly signal: AbortSignal;
  /** Runs a call whose start is stored. */
  readonly startCall: (call: StartedCall) => void;
  /** Called for each streamed delta. */
  readonly onText: () => void;
  /** Tells clients that the turn waits; without a reason: it waits no longer. */
  readonly onWait: (wait: Pick<TurnWaiting, 'reason' | 'retryAfterMs'> | undefined) => void;
  /** The request for the first answer, if it was made ahead of the turn; once. */
  readonly takeAhead: () => Promise<Asked | undefined> | undefined;
}

export interface StartedCall extends OpenCall {
  /** The user has changed the arguments, which the model is told. */
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
