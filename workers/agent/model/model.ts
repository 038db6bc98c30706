/** The model's interface: one streamed answer to a transcript. Types; agent threads. */
import type { TranscriptMessage } from '../store/store.js';
import type { StopReason, Usage } from '../../../src/shared/protocol.js';

/** A tool as the model sees it; names match ^[a-zA-Z0-9_-]{1,64}$. */
export interface ModelTool {
  name: string;
  description: string;
  inputSchema: Record<string, unknown>;
}

/** The right to one request to the model at a time. */
export interface ModelPlace {
  /** An answer begins; its headers say what remains of the API's limits. */
  answered(headers: Pick<Headers, 'get'>): void;
  /**
   * The API refused the request for its rate. `again`: the request waits for its next turn. Resolves with whether it may be made again.
   * ERR_CANCELLED.
   */
  refused(retryAfterMs: number | undefined, again: boolean): Promise<boolean>;
  /** Idempotent. `usage` of the answer, if there was one. */
  end(usage?: Usage): void;
}

export interface ModelRequest {
  model: string;
  system: string;
  /** Information for this request only. It follows the system prompt, which is cached without it. '' or absent: none. */
  note?: string;
  /** Valid: every tool_use has its tool_result. */
  messages: readonly TranscriptMessage[];
  /** In a fixed order: the prompt cache depends on it. */
  tools: readonly ModelTool[];
  maxTokens: number;
  /** What this conversation's earlier requests were refused for, as an answer has listed it. */
  withheld?: readonly string[] | undefined;
  /** Absent: nobody counts the request. Whoever took it ends it. */
  place?: ModelPlace | undefined;
  /** Called with what is known of an answer that breaks off, or is stopped: its tokens are used all the same. */
  onUsage?: (usage: Usage) => void;
  /** Less of the same conversation, for when the API finds it too long; undefined when that is not possible. */
  shorter?: (size: PromptSize | undefined) => readonly TranscriptMessage[] | undefined;
}

/** In tokens, as an API has said it when a request was too long. */
export interface PromptSize {
  /** Of the request; absent when it did not say. */
  tokens?: number;
  /** What it takes at most. */
  maximum: number;
}

/** `block` counts the answer's content blocks from 0. */
export type ModelEvent =
  | { type: 'text'; block: number; text: string }
  | { type: 'thinking'; block: number; text: string }
  | { type: 'done'; answer: ModelAnswer };

export interface ModelAnswer {
  /** Messages API content blocks: text, thinking (with signature), redacted_thinking, tool_use. */
  content: unknown[];
  /** Ids of tool_use blocks whose arguments were no JSON object: their `input` is `{}`, and they must not run. */
  invalidInput?: string[];
  stopReason: 'tool_use' | Exclude<StopReason, 'cancelled' | 'interrupted' | 'error'>;
  usage: Usage;
  /** Present when the API refused more of the conversation than `ModelRequest.withheld` says: the whole list, to be stored. */
  withheld?: string[];
  /** For the person: what was left out beyond what earlier answers have said. Present with `withheld`. */
  leftOut?: string;
  /** The name that the answering model gives itself. */
  model: string;
}

export interface Model {
  readonly provider: 'anthropic' | 'demo';
  /** What the model has said that it takes at most, in tokens; undefined while it has not. */
  maxPromptTokens?(model: string): number | undefined;
  /** Loads what the first answer would have to wait for. */
  warmUp?(): Promise<void>;
  /**
   * Streams one answer; the last event is `done`. Rejects with ERR_MODEL and a plain message (overloaded, rate limit,
   * bad request, broken stream) and with ERR_CANCELLED when `signal` aborts.
   */
  stream(request: ModelRequest, signal: AbortSignal): AsyncIterable<ModelEvent>;
}
