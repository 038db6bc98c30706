/** An agent thread's contract, both ways: what the main thread asks of it, and what it asks of the main thread. Types only. */
import type { MessagePort } from 'node:worker_threads';
import type { Config } from '../../../src/shared/config.js';
import type { ContentBlock, Pending, TranscriptEntry, Usage, UserBlock } from '../../../src/shared/protocol.js';
import type { ToolDefinition } from '../../../src/shared/tool-definition.js';
import type { ExecRequest, LeaseResult } from '../../docker/contract/messages.js';
import type { LoginHostRequests, LoginRequests } from './logins.js';

export interface AgentWorkerData {
  config: Config;
  /** This server's name, the same after a restart: the owner of the sessions that it writes. */
  instance: string;
  index: number;
  /** How many agent threads there are: sessions are shared out by a hash modulo this. */
  threads: number;
  /** The parts that the boot decided on. */
  store: 'redis' | 'lmdb';
  model: 'anthropic' | 'demo';
}

/** Tools by server name, in the configuration's order. */
export type Catalogue = Record<string, ToolDefinition[]>;

/** What is known of servers beside their tools; a server without a note is there, and has tools alone. */
export type ServerNotes = Record<string, ServerNote>;

export interface ServerNote {
  /** Why its tools cannot be called now. */
  down?: string;
  /** Each user has tools of his own there, once he has logged in. */
  perUser?: boolean;
  /** This user has not. */
  needsLogin?: boolean;
  resources?: boolean;
  prompts?: boolean;
}

/** What the thread that asks a server for all has come to know of it: its tools, or why there are none. */
export interface ServerNews extends Omit<ServerNote, 'needsLogin'> {
  server: string;
  tools?: ToolDefinition[];
}

/** A server as /v1/mcp tells of it. */
export interface ServerHealth {
  name: string;
  kind: 'image' | 'command' | 'url';
  state: 'healthy' | 'degraded' | 'reconnecting' | 'down' | 'needs_login';
  era?: 'legacy' | 'modern';
  /** Of a request there and back, smoothed. */
  latencyMs?: number;
  lastError?: string;
  /** ms since the epoch: it is in this state since then. */
  since?: number;
  tools: { name: string; title?: string; description: string }[];
  resources: boolean;
  prompts: boolean;
}

/** What one thread knows of a server from its own requests. */
export type ServerSignals = Pick<ServerHealth, 'name' | 'state' | 'era' | 'latencyMs' | 'lastError' | 'since'>;

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
  requests: LoginRequests & {
    /** Makes the session's row. ERR_MODEL_NOT_ALLOWED. */
    'create-session': { request: Of & { model?: string }; result: { session: string; model: string } };
    /**
     * Everything a new subscriber must see first, as ready JSON frames: session:ready, the durable events after
     * `after`, what is streaming now. Events notified after this answer follow it without a gap.
     * `after` ahead of the log: ERR_BAD_FRAME.
     */
    attach: { request: Of & { after?: number; resumed: boolean }; result: { frames: OutFrame[]; seq: number } };
    /** Durable events after `after` for a subscriber that has missed them; no frames: the log does not reach back so far. */
    replay: { request: Of & { after: number }; result: { frames?: OutFrame[] } };
    /** The newest seq of each, in their order; 0: no such session. */
    'read-seqs': { request: { sessions: string[] }; result: { seqs: number[] } };
    /** After the catalogue is set: sessions that a crash has cut go on. Resolves with how many there are. */
    resume: { request: Record<string, never>; result: { sessions: number } };
    /** The blocks now streaming, whole, for a subscriber that skipped deltas while it was slow. */
    'catch-up': { request: Of; result: { frames: OutFrame[] } };
    /** Resolves when the message is stored. ERR_TOO_MANY_REQUESTS, ERR_DRAINING. `duplicate`: this id was accepted before. */
    'submit-message': {
      request: Of & { id?: string; content: UserBlock[] };
      result: { turn: number; queued: number; duplicate: boolean };
    };
    /** ERR_CALL_NOT_PENDING, ERR_TOOL_ARGS, ERR_DRAINING. */
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
    /** ERR_CALL_NOT_PENDING; ERR_TOOL_ARGS where it does not fit the form. */
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
    /**
     * One HTTP request to /mcp. Resolves with the answer, or with null when it has been streamed to its end through
     * 'mcp-stream'. ERR_NO_SUCH_SESSION, ERR_DRAINING, ERR_TOO_MANY_REQUESTS.
     */
    'mcp-exchange': { request: McpExchange; result: McpAnswer | null };
    /** The client of that request has gone. */
    'mcp-abort': { request: { exchange: string }; result: null };
    'set-catalogue': { request: { catalogue: Catalogue; notes?: ServerNotes }; result: null };
    /** Asked for again, soon, by the thread that lists it for all; the others have nothing to do. */
    'refresh-server': { request: { server: string }; result: null };
    /** What this thread knows of the servers, without asking them; of those with a login, what it knows for this user. */
    'mcp-status': {
      request: { user: string };
      result: { signals: ServerSignals[]; own: { server: string; note: ServerNote; tools?: ToolDefinition[] }[] };
    };
    /** One cheap request to the server, never one that starts a sandbox: ERR_MCP where it would. Else the server's errors. */
    'mcp-test': { request: { user: string; server: string }; result: { latencyMs: number; era: 'legacy' | 'modern' } };
    /**
     * A list, a prompt or a resource of a server, for this user, or in one of his sessions: ERR_NO_SUCH_SESSION. A server
     * in a sandbox needs the session: ERR_BAD_FRAME. Else the server's errors, ERR_MCP_LOGIN among them.
     */
    'mcp-request': { request: McpRequest; result: Record<string, unknown> };
    /** The user has logged in there, or out: what is known of it for him is asked for again. */
    'mcp-forget': { request: { user: string; server: string }; result: null };
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

export type McpRequest = { user: string; session?: string; server: string } & (
  | { method: 'prompts/list' | 'resources/list' }
  | { method: 'prompts/get'; name: string; args: Record<string, string> }
  | { method: 'resources/read'; uri: string }
);

/** A frame on its way to a session's subscribers. */
export interface OutFrame {
  /** The event as JSON text. */
  json: string;
  /** 0 for streaming events, which a slow subscriber may skip. */
  seq: number;
}

/** What agent threads ask of the main thread. */
export interface AgentHostContract {
  requests: LoginHostRequests & {
    /** The port (the sandbox's end) is transferred. Errors as DockerTasks['lease-sandbox']. */
    'lease-sandbox': { request: { session: string; server: string; port: MessagePort }; result: LeaseResult };
    /** The port (the server's end) is transferred. Errors as DockerTasks['exec-server']. */
    'exec-server': { request: ExecRequest; result: null };
    'release-sandbox': { request: { sandbox: string }; result: null };
    /** Saves its workspace and lets it go. ERR_SANDBOX, ERR_UNAVAILABLE: not saved, and it stays. */
    'hibernate-sandbox': { request: { sandbox: string }; result: null };
    /** The session is no more: its sandboxes go, and what was saved of them. */
    'release-session': { request: { session: string }; result: null };
    /** A part of a streamed answer; resolves when the client takes more. Not open: it has gone. */
    'mcp-stream': { request: McpStreamPart; result: { open: boolean } };
  };
  notifications: {
    ready: Record<string, never>;
    /** Could not start: the store or the model is unusable. The thread ends after it. */
    'start-failed': { code: string; message: string };
    /** Frames of one turn of the event loop, all sessions together. */
    frames: { batch: { session: string; frames: OutFrame[] }[] };
    /** The session is no more: its subscribers are closed with this code. */
    'session-gone': { session: string; closeCode: number; reason: string };
    /** The store was away, and now has this as the newest event: subscribers may have missed some. */
    'session-seq': { session: string; seq: number };
    'server-tools': ServerNews;
    /** A call found this server away: those who list it should look. */
    'server-trouble': { server: string };
    /** The store answers, or has stopped answering. */
    health: { thread: number; store: boolean };
  };
}

/** A finished turn, as plain HTTP clients get it. */
export interface FinishedTurn {
  turn: number;
  text: string;
  tools: {
    callId: string;
    name: string;
    server: string;
    ok: boolean;
    content: ContentBlock[];
    structuredContent?: Record<string, unknown>;
  }[];
  usage: Usage;
  stopReason: string;
  model: string;
}

/** A request to /mcp, by a user who is known. */
export interface McpExchange {
  /** Made by the front; names this request alone. */
  exchange: string;
  user: string;
  /** The session whose thread this is. */
  session: string;
  /**
   * How the client has named it: by its MCP session (whose id this is), by the session's own id, by nothing as newer clients
   * do (the session that is kept for the user), or as one that may be made.
   */
  by: { mcpSession: string } | 'id' | 'user' | 'new';
  method: 'GET' | 'POST' | 'DELETE';
  /** Lower case; of credentials none. */
  headers: Record<string, string>;
  /** Of a POST. */
  body: string;
}

export interface McpAnswer {
  status: number;
  headers: [name: string, value: string][];
  body: string;
}

export interface McpStreamPart {
  exchange: string;
  /** With the first part alone. */
  head?: {
    headers: [name: string, value: string][];
    /** The JSON-RPC request that the stream answers; a client must be told when it breaks off. */
    requestId?: string | number;
  };
  text: string;
}
