/** The items of a conversation as the page shows it. Types only. */
import type {
  BudgetLeft,
  ContentBlock,
  Pending,
  ShownTool,
  StopReason,
  TurnWait,
  Usage,
  WireError,
} from '../../../src/shared/protocol.js';

export interface UserItem {
  kind: 'user';
  key: string;
  /** The message's own, where its sender gave one. */
  id?: string;
  turn?: number;
  /** Undefined where the log does not say it. */
  text: string | undefined;
  truncated?: boolean;
  images?: number;
  /** Names of files that were attached. */
  files?: readonly string[];
  /** `sending`: the server has not said that it is stored. */
  state: 'sending' | 'stored' | 'failed';
  error?: WireError;
}

export interface TextItem {
  kind: 'text' | 'thinking';
  key: string;
  turn: number;
  text: string;
  /** Nothing more comes. */
  done: boolean;
}

export type ToolState = 'asked' | 'approved' | 'running' | 'ok' | 'failed' | 'denied';

export interface ToolOutput {
  /** The end of what was printed. */
  text: string;
  /** How much was printed, in UTF-16 units. */
  length: number;
}

export interface ToolItem {
  kind: 'tool';
  key: string;
  callId: string;
  name: string;
  server: string;
  args: Record<string, unknown>;
  state: ToolState;
  /** The tool in its server's words. */
  tool?: ShownTool;
  position?: number;
  total?: number;
  /** ms since the epoch; then it is denied. */
  expiresAt?: number;
  by?: 'user' | 'policy' | 'timeout';
  reason?: string;
  edited?: boolean;
  output: Partial<Record<'stdout' | 'stderr' | 'progress', ToolOutput>>;
  content?: ContentBlock[];
  ms?: number;
}

export interface QuestionItem {
  kind: 'question';
  key: string;
  requestId: string;
  server: string;
  origin?: 'sandbox';
  mode: 'form' | 'url';
  message: string;
  schema?: Record<string, unknown>;
  url?: string;
  /** Undefined while it waits. */
  answer?: 'accept' | 'decline' | 'cancel';
}

export interface EndItem {
  kind: 'end';
  key: string;
  turn: number;
  stopReason: StopReason;
  usage: Usage;
  ms: number;
  model: string;
  error?: WireError;
  cost?: { amount: number; currency: string };
}

export interface NoticeItem {
  kind: 'notice';
  key: string;
  tone: 'info' | 'warning';
  text: string;
}

export type Item = UserItem | TextItem | ToolItem | QuestionItem | EndItem | NoticeItem;

export interface Waiting {
  reason: TurnWait;
  retryAfterMs?: number;
}

/** A view of one session: a fold over its events. Nothing in it is changed in place. */
export interface Conversation {
  items: readonly Item[];
  /** Messages that are on their way or in line, in their order. */
  line: readonly UserItem[];
  /** The newest durable event in it. */
  seq: number;
  /** `seq` of the newest event that says that files have changed. */
  filesAt: number;
  /** The turn that runs. */
  turn: number | undefined;
  /** Why it does not go on. */
  waiting: Waiting | undefined;
  model: string;
  /** `before` of the page of history that comes before what is shown. */
  earlier: string | undefined;
  budgets: readonly BudgetLeft[];
  /** The calls and questions that waited for the user as of `seq`. `session:ready` lists them, before the events that asked them. */
  told: { seq: number; pending: readonly Pending[] } | undefined;
}
