/** Types of the wire protocol (docs/protocol.md): the client's frames and the server's events. Every thread. */

import type { LostFiles } from './loss-text.js';
import type { Role } from './person.js';

export const PROTOCOL = 'fairlead.v1';

/** MCP content blocks as a client sees them. `truncated`: Fairlead has cut the block. */
export type ContentBlock =
  | { type: 'text'; text: string; truncated?: true }
  | { type: 'image' | 'audio'; data: string; mimeType: string; truncated?: true }
  | { type: 'resource' | 'resource_link'; [key: string]: unknown };

/** What a user may send: text, images in base64, and files that are in the workspace. */
export type UserBlock =
  | { type: 'text'; text: string }
  | { type: 'image'; mimeType: string; data: string }
  /** `path` as lists of files show it. */
  | { type: 'file'; path: string };

export type ClientFrame =
  | { type: 'message'; id?: string | undefined; text?: string | undefined; content?: UserBlock[] | undefined }
  | {
      type: 'tool:approval';
      id?: string | undefined;
      callId: string;
      approved: boolean;
      args?: Record<string, unknown> | undefined;
      reason?: string | undefined;
      remember?: 'session' | undefined;
      /** `tool.definition` of the approval that is answered: a yes to another one runs nothing. */
      definition?: string | undefined;
    }
  | {
      type: 'elicitation:reply';
      id?: string | undefined;
      requestId: string;
      action: 'accept' | 'decline' | 'cancel';
      content?: Record<string, unknown> | undefined;
    }
  | { type: 'turn:cancel'; id?: string | undefined }
  | { type: 'history:reset'; id?: string | undefined }
  | { type: 'sandbox:restart'; id?: string | undefined; discard?: boolean | undefined }
  | { type: 'ping'; id?: string | undefined }
  | { type: 'auth:refresh'; id?: string | undefined; token: string };

export type StopReason = 'end_turn' | 'max_tokens' | 'cancelled' | 'interrupted' | 'refusal' | 'error';

/** Tokens as the model's API counts them, summed over the rounds of a turn. */
export interface Usage {
  inputTokens: number;
  outputTokens: number;
  cacheReadTokens: number;
  cacheWriteTokens: number;
}

/** What a tool's server says of it. Nobody has checked it. */
export interface ToolHints {
  readOnly?: boolean;
  destructive?: boolean;
  idempotent?: boolean;
  openWorld?: boolean;
}

export const DEFINITION_PARTS = ['description', 'hints', 'arguments', 'result'] as const;
export type DefinitionPart = (typeof DEFINITION_PARTS)[number];

/** How a tool differs from what an operator has pinned: in these parts, or in being there at all. */
export interface PinDifference {
  state: 'changed' | 'new';
  parts: DefinitionPart[];
}

/** A tool as the user is asked about it; in its server's words. */
export interface ShownTool {
  title?: string;
  description: string;
  hints?: ToolHints;
  /** Names this definition. */
  definition: string;
  /** What differs from the definition that the user saw last in this session. */
  changed?: DefinitionPart[];
  /** Absent: it is as an operator has pinned it, or its server is not pinned. */
  pin?: PinDifference;
}

export interface PendingApproval {
  kind: 'approval';
  turn: number;
  callId: string;
  name: string;
  server: string;
  args: Record<string, unknown>;
  /** Absent in approvals that an earlier version stored. */
  tool?: ShownTool;
  position: number;
  total: number;
  /** ms since the epoch; then the call is denied by `timeout`. */
  expiresAt: number;
}

/** `sandbox`: code in a sandbox may have written the question, also the agent's own. Absent: the server that is named. */
export type QuestionOrigin = 'sandbox';

export interface PendingElicitation {
  kind: 'elicitation';
  requestId: string;
  server: string;
  origin?: QuestionOrigin;
  mode: 'form' | 'url';
  message: string;
  schema?: Record<string, unknown>;
  url?: string;
}

export type Pending = PendingApproval | PendingElicitation;

/** An error as a client gets it. */
export interface WireError {
  code: string;
  message: string;
  retryAfterMs?: number;
}

/** `budget_80`: of this budget 80 % are used, once a period. `support_look`: an administrator has read the session. */
export type NoticeCode = 'budget_80' | 'support_look' | 'model_refused';

/** What is left of a budget. */
export interface BudgetLeft {
  of: 'user' | 'group' | 'session' | 'turn';
  per: 'turn' | 'session' | 'day' | 'month';
  /** The user or the group. */
  name?: string;
  tokens?: number;
  amount?: number;
  currency?: string;
  /** When it begins anew, ms since the epoch; absent for turns and sessions. */
  resetAt?: number;
}

/** What a message says, for the user's other pages. Earlier versions stored none. */
export interface Said {
  /** The beginning, where it is long. */
  text: string;
  truncated?: true;
  images?: number;
  /** Paths of files, the first 20. */
  files?: string[];
}

/** A file of the workspace. `path` is as docs/files.md shows names. */
export interface FileChange {
  path: string;
  change: 'created' | 'changed' | 'deleted' | 'moved';
  /** Bytes. */
  size?: number;
  /** Of `moved`. */
  from?: string;
}

export interface FileChanges {
  changes: FileChange[];
  /** There are more, or not all was looked at. */
  truncated?: true;
}

/** Durable events, without the `seq` that the session's log gives them. */
export type DurableEvent =
  | { type: 'message:accepted'; id?: string; turn: number; queued: number; said?: Said }
  | { type: 'turn:start'; turn: number }
  | { type: 'text'; turn: number; block: number; text: string }
  | ({ type: 'tool:approval_required' } & Omit<PendingApproval, 'kind'>)
  | { type: 'tool:approved'; callId: string; by: 'user' | 'policy'; args?: Record<string, unknown> }
  | {
      type: 'tool:denied';
      callId: string;
      /** Absent in events of 0.2.0. */
      name?: string;
      server?: string;
      by: 'user' | 'policy' | 'timeout';
      reason?: string;
    }
  | { type: 'tool:start'; callId: string; name: string; server: string; args: Record<string, unknown> }
  | {
      type: 'tool:result';
      callId: string;
      ok: boolean;
      content: ContentBlock[];
      structuredContent?: Record<string, unknown>;
      ms: number;
    }
  | ({ type: 'elicitation:request' } & Omit<PendingElicitation, 'kind'>)
  | { type: 'elicitation:resolved'; requestId: string; action: 'accept' | 'decline' | 'cancel'; by: 'user' | 'stop' }
  | {
      type: 'turn:end';
      turn: number;
      stopReason: StopReason;
      usage: Usage;
      ms: number;
      model: string;
      /** `requestId` finds the request, or the socket, by which the turn's message came. */
      error?: WireError & { requestId?: string };
      /** Absent: no price is known. */
      cost?: { amount: number; currency: string };
      /** Of each that holds, as its last call has left it; absent: none was counted. */
      budgets?: BudgetLeft[];
    }
  /** What the user should know; `code` says what kind. */
  | { type: 'notice'; code: NoticeCode; message: string; budget?: BudgetLeft }
  | { type: 'history:cleared' }
  | ({ type: 'sandbox:lost' } & LostFiles)
  /** `turn`: of the call that has made it; absent: its user has, over HTTP. */
  | ({ type: 'files:changed'; turn?: number } & FileChanges);

/** Streaming events have no `seq`. With block and offset a client that joins midway is exact. Offsets count UTF-16 units. */
export type StreamingEvent =
  | { type: 'text:delta' | 'thinking:delta'; turn: number; block: number; offset: number; text: string }
  | { type: 'tool:output'; callId: string; stream: 'stdout' | 'stderr' | 'progress'; offset: number; text: string };

/** Why a turn waits. `sandbox`: its call waits for one. */
export type TurnWait = 'model_rate' | 'fairness' | 'sandbox';

/** Not in the log: the turn waits for its turn. Its next event ends the wait. */
export interface TurnWaiting {
  type: 'turn:waiting';
  turn: number;
  reason: TurnWait;
  /** An estimate. */
  retryAfterMs?: number;
}

export interface Limits {
  maxFrameBytes: number;
  maxInFlight: number;
}

/** One entry of the transcript, for GET …/history and for `session:ready` after a gap in the log. */
export interface TranscriptEntry {
  role: 'user' | 'assistant';
  content: unknown[];
}

export type ServerEvent =
  | {
      type: 'session:ready';
      session: string;
      seq: number;
      resumed: boolean;
      model: string;
      pending: Pending[];
      limits: Limits;
      /** Who is attached, as what, and when the credential ends (ms since the epoch; absent: not by itself). */
      user: string;
      role: Role;
      expiresAt?: number;
      reset?: true;
      transcript?: TranscriptEntry[];
      /** The transcript is only the newest part: `before` of the page that comes before it. */
      transcriptNext?: string;
    }
  | (DurableEvent & { seq: number })
  | StreamingEvent
  | TurnWaiting
  /** `requestId` finds the request, or the upgrade of this socket, in the server's log. */
  | ({ type: 'error'; id?: string; requestId?: string } & WireError)
  | { type: 'pong'; id?: string }
  /** This socket stands on the newer credential, until `expiresAt`. */
  | { type: 'auth:refreshed'; id?: string; role: Role; expiresAt?: number }
  /** Not in the log: the session's sandboxes, so many, were saved and ended. */
  | { type: 'sandbox:restarted'; restarted: number };

export const CLOSE = {
  draining: 1001,
  overloaded: 1013,
  notThisProtocol: 4400,
  /** No or bad credentials, or the credential has ended. */
  unauthorized: 4401,
  /** The user is blocked, or not allowed to. */
  blocked: 4403,
  noSuchSession: 4404,
  /** An administrator has closed it. Who comes back by hand is let in. */
  ended: 4405,
  slowReader: 4429,
} as const;
