/** An MCP server as the turn loop, the HTTP routes and `/mcp` use it, however it is reached. Types only; agent threads. */
import type {
  CallToolResult,
  CreateMessageRequest,
  CreateMessageResult,
  LoggingLevel,
  Progress,
  ProtocolEra,
  Root,
} from '@modelcontextprotocol/client';
import type { Asker } from '../../../../src/shared/policy/policy.js';
import type { ToolDefinition } from '../../../../src/shared/tool-definition.js';
import type { Question, QuestionAnswer } from './question.js';
import type { InputAnswers, InputWanted } from './input-wanted.js';

/** On whose behalf a request is made. */
export interface Caller extends Asker {
  session: string;
}

/**
 * Answers what a server may ask of its client while a request is open; each question aborts with that request. All requests
 * of a session share one object or one owner, which tells whose question a legacy server's is.
 */
export interface ServerAsks {
  /** Objects with the same owner count as one, and the newest is asked. Absent: the object is its own owner. */
  owner?: string;
  /** Asks the user. Resolves with `cancel` when there is nobody to ask. `key`: the server's name for the question. */
  elicit(question: Question, signal: AbortSignal, key?: string): Promise<QuestionAnswer>;
  /** Asks the session's model. Absent: the configuration does not allow it. Rejects when the user declines. */
  sample?(
    server: string,
    params: CreateMessageRequest['params'],
    signal: AbortSignal,
    key?: string,
  ): Promise<CreateMessageResult>;
  /** The folders that the server may work in. Absent: the connection's own. */
  roots?(signal: AbortSignal, key?: string): Promise<Root[]>;
}

export interface ServerRequestOptions {
  signal: AbortSignal;
  timeoutMs: number;
  asks: ServerAsks;
  /** A list or the like, in which no server asks: what a server asks while it runs belongs to another request. */
  background?: boolean;
  /** Called with the server's log messages while the request runs; they also go to our log. */
  onLog?: (entry: { level: string; logger?: string | undefined; data: unknown }) => void;
  /** A modern server logs for a request only from this level on, and nothing without one. */
  logLevel?: LoggingLevel;
}

export interface ToolCall extends ServerRequestOptions {
  /** Whose call it is: files in a shared sandbox are those of each session that has changed some. */
  session?: string;
  name: string;
  args: Record<string, unknown>;
  /** The listed definition: the SDK mirrors headers from its schema and checks structured content against it. */
  definition?: ToolDefinition;
  onOutput: (stream: 'stdout' | 'stderr' | 'progress', text: string) => void;
  /** Called with each progress notification as the server sent it. */
  onProgress?: (progress: Progress) => void;
}

/** A request other than a tool call: prompts/*, resources/*, completion/complete. */
export interface ServerRequest extends ServerRequestOptions {
  method: string;
  params: Record<string, unknown>;
}

/**
 * One session's connection to one server. Errors of each request: ERR_CANCELLED when the signal aborts, ERR_SANDBOX when the
 * sandbox ends meanwhile, ERR_UNAVAILABLE when a remote server does not answer, else ERR_MCP.
 */
export interface ServerConnection {
  readonly era: ProtocolEra;
  /** From the handshake. */
  readonly capabilities: Readonly<Record<string, unknown>>;
  /** Passes the server's questions to `asks` and repeats the request with the answers, as often as the server asks. */
  callTool(call: ToolCall): Promise<CallToolResult>;
  /** Makes one request with the answers to the server's earlier questions. Resolves with InputWanted when it asks again. */
  sendToolCall(call: ToolCall, answers: InputAnswers): Promise<CallToolResult | InputWanted>;
  request(request: ServerRequest): Promise<Record<string, unknown>>;
  /** Calls `onUpdated` at each change until the function that it resolves with is called. Errors as above. */
  watchResource?(uri: string, onUpdated: () => void, options: { timeoutMs: number }): Promise<() => Promise<void>>;
}

/** All servers of the configuration. */
export interface ServerConnections {
  /** Opens the connection if needed. ERR_MCP for a name that is not in the configuration, else the backend's errors. */
  connection(caller: Caller, server: string): Promise<ServerConnection>;
  /** Saves the session's sandboxes and ends them. Resolves with how many. ERR_SANDBOX: one cannot be saved and stays. */
  restartSandboxes(session: string, reason: string, discard: boolean): Promise<number>;
  /** Releases all that the session holds. */
  releaseSession(session: string): Promise<void>;
}

/** One way to reach servers: sandboxes, processes on the host, or HTTP. */
export interface ServerBackend {
  /** Opens the connection on the first call; callers that come meanwhile share it. */
  get(caller: Caller, server: string): Promise<ServerConnection>;
  /** Releases all that the session holds, also what is still starting. */
  releaseSession(session: string): Promise<void>;
  /** Closes everything that would keep the thread alive. */
  disconnect(): Promise<void>;
}

/** Called by the owner of the connections. */
export interface SessionToolsListener {
  /** The server has said that its tools have changed. */
  changed(session: string, server: string, connection: ServerConnection): void;
  /** The connection has ended. */
  gone(session: string, server: string): void;
}
