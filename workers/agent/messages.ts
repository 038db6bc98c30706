/** An agent thread's contract, both ways: what the main thread asks of it, and what it asks of the main thread. Types only. */
import type { MessagePort } from 'node:worker_threads';
import type { Config } from '../../src/config.js';
import type { ContentBlock, Pending, TranscriptEntry, Usage, UserBlock } from '../../src/protocol.js';
import type { ToolDefinition } from '../../src/tool-definition.js';
import type { LeaseResult } from '../docker/messages.js';

export interface AgentWorkerData {
  config: Config;
  index: number;
  /** How many agent threads there are: sessions are shared out by a hash modulo this. */
  threads: number;
  /** The parts that the boot decided on. */
  store: 'redis' | 'lmdb';
  model: 'anthropic' | 'demo';
}

/** Tools by server name, in the configuration's order. */
export type Catalogue = Record<string, ToolDefinition[]>;

export interface SessionInfo {
  session: string;
  model: string;
  title: string;
  createdAt: number;
  lastActiveAt: number;
  seq: number;
  turns: number;
  running: boolean;
  pending: Pending[];
}

/** `session` not of `user`, or not there: ERR_NO_SUCH_SESSION, the same for both. */
interface Of {
  user: string;
  session: string;
}

export interface AgentContract {
  requests: {
    /** Makes the session's row. ERR_MODEL_NOT_ALLOWED. */
    'create-session': { request: Of & { model?: string }; result: { session: string; model: string } };
    /**
     * Everything a new subscriber must see first, as ready JSON frames: session:ready, the durable events after
     * `after`, what is streaming now. Events notified after this answer follow it without a gap.
     * `after` ahead of the log: ERR_BAD_FRAME.
     */
    attach: { request: Of & { after?: number; resumed: boolean }; result: { frames: OutFrame[] } };
    /** The blocks now streaming, whole, for a subscriber that skipped deltas while it was slow. */
    'catch-up': { request: Of; result: { frames: OutFrame[] } };
    /** Resolves when the message is stored. ERR_TOO_MANY_REQUESTS, ERR_DRAINING. `duplicate`: this id was accepted before. */
    'submit-message': {
      request: Of & { id?: string; content: UserBlock[] };
      result: { turn: number; queued: number; duplicate: boolean };
    };
    /** ERR_CALL_NOT_PENDING, ERR_TOOL_ARGS. */
    'answer-approval': {
      request: Of & {
        callId: string;
        approved: boolean;
        args?: Record<string, unknown>;
        reason?: string;
        remember?: 'session';
      };
      result: null;
    };
    /** ERR_CALL_NOT_PENDING. */
    'answer-elicitation': {
      request: Of & {
        requestId: string;
        action: 'accept' | 'decline' | 'cancel';
        content?: Record<string, unknown>;
      };
      result: null;
    };
    'cancel-turn': { request: Of; result: null };
    'reset-history': { request: Of; result: null };
    'get-session': { request: Of; result: SessionInfo };
    /** Any thread answers for any user. */
    'list-sessions': {
      request: { user: string; limit: number; cursor?: string };
      result: { sessions: Omit<SessionInfo, 'running' | 'pending'>[]; next?: string };
    };
    'delete-session': { request: Of; result: null };
    'read-history': { request: Of; result: { transcript: TranscriptEntry[] } };
    'set-catalogue': { request: { catalogue: Catalogue }; result: null };
    /** Deletes sessions past their time to live, by index; each checked again before it goes. */
    'sweep-sessions': { request: { limit: number }; result: { deleted: number } };
    /** Those of these sessions that the store does not know. Any thread answers. */
    'missing-sessions': { request: { sessions: string[] }; result: { missing: string[] } };
    /** After the drain: saves every sandbox's workspace and lets it go. */
    'hibernate-all': { request: Record<string, never>; result: { hibernated: number; failed: number } };
    'collect-metrics': { request: Record<string, never>; result: { metrics: object[] } };
    /** Refuses new turns, gives running ones `graceMs`, then interrupts them; resolves when nothing runs and all is flushed. */
    drain: { request: { graceMs: number }; result: null };
  };
  notifications: {
    /** The last message: close the store and end. */
    close: Record<string, never>;
  };
}

/** A frame on its way to a session's subscribers. */
export interface OutFrame {
  /** The event as JSON text. */
  json: string;
  /** 0 for streaming events, which a slow subscriber may skip. */
  seq: number;
}

/** What agent threads ask of the main thread. */
export interface AgentHostContract {
  requests: {
    /** The port (the sandbox's end) is transferred. Errors as DockerTasks['lease-sandbox']. */
    'lease-sandbox': { request: { session: string; server: string; port: MessagePort }; result: LeaseResult };
    'release-sandbox': { request: { sandbox: string }; result: null };
    /** Saves its workspace and lets it go. ERR_SANDBOX, ERR_UNAVAILABLE: not saved, and it stays. */
    'hibernate-sandbox': { request: { sandbox: string }; result: null };
    /** The session is no more: its sandboxes go, and what was saved of them. */
    'release-session': { request: { session: string }; result: null };
  };
  notifications: {
    ready: Record<string, never>;
    /** Could not start: the store or the model is unusable. The thread ends after it. */
    'start-failed': { code: string; message: string };
    /** Frames of one turn of the event loop, all sessions together. */
    frames: { batch: { session: string; frames: OutFrame[] }[] };
    /** The session is no more: its subscribers are closed with this code. */
    'session-gone': { session: string; closeCode: number; reason: string };
    /** The store answers, or has stopped answering. */
    health: { thread: number; store: boolean };
  };
}

/** A finished turn, as plain HTTP clients get it. */
export interface FinishedTurn {
  turn: number;
  text: string;
  tools: { callId: string; name: string; server: string; ok: boolean; content: ContentBlock[] }[];
  usage: Usage;
  stopReason: string;
  model: string;
}
