/** What the turn loop, the HTTP routes and `/mcp` want of an MCP server, whatever it is reached by. Types only; agent threads. */
import type {
  CallToolResult,
  CreateMessageRequest,
  CreateMessageResult,
  LoggingLevel,
  Progress,
  ProtocolEra,
  Root,
} from '@modelcontextprotocol/client';
import type { ToolDefinition } from '../../../../src/shared/tool-definition.js';
import type { Question, QuestionAnswer } from './question.js';
import type { InputAnswers, InputWanted } from './input-wanted.js';

/** For whom a server is spoken to. */
export interface Caller {
  session: string;
  user: string;
}

/**
 * What a server may want of its client while a request to it is open; each aborts with that request. One object, or one
 * owner, for all requests of a session: whom a legacy server means is told by it.
 */
export interface ServerAsks {
  /** Objects of the same owner are as good as one; the newest of them is asked. Absent: this object is its own. */
  owner?: string;
  /** Asks the person. Resolves with `cancel` when there is nobody to ask any more. `key`: how the server named it. */
  elicit(question: Question, signal: AbortSignal, key?: string): Promise<QuestionAnswer>;
  /** A message of the session's model. Absent: the configuration does not allow it. Rejects when the person says no. */
  sample?(
    server: string,
    params: CreateMessageRequest['params'],
    signal: AbortSignal,
    key?: string,
  ): Promise<CreateMessageResult>;
  /** The folders that the server may work in, where it is not up to the connection to say. */
  roots?(signal: AbortSignal, key?: string): Promise<Root[]>;
}

export interface ServerRequestOptions {
  signal: AbortSignal;
  timeoutMs: number;
  asks: ServerAsks;
  /** Text of the server's log (`notifications/message`) while it runs; it goes to our log in any case. */
  onLog?: (entry: { level: string; logger?: string | undefined; data: unknown }) => void;
  /** A server of the newer era logs only for requests that say from which level on. */
  logLevel?: LoggingLevel;
}

export interface ToolCall extends ServerRequestOptions {
  name: string;
  args: Record<string, unknown>;
  /** As it was listed: headers are mirrored from its schema, and structured content is checked against it. */
  definition?: ToolDefinition;
  onOutput: (stream: 'stdout' | 'stderr' | 'progress', text: string) => void;
  /** Each progress notification as the server sent it. */
  onProgress?: (progress: Progress) => void;
}

/** A request of the protocol that is no tool call: prompts/*, resources/*, completion/complete. */
export interface ServerRequest extends ServerRequestOptions {
  method: string;
  params: Record<string, unknown>;
}

/**
 * One server as one session reaches it. Errors of each request: ERR_CANCELLED when the signal aborts, ERR_SANDBOX when a
 * sandbox ends in the middle, ERR_UNAVAILABLE when a remote server does not answer, else ERR_MCP.
 */
export interface ServerConnection {
  readonly era: ProtocolEra;
  /** As the server said at the handshake. */
  readonly capabilities: Readonly<Record<string, unknown>>;
  /** Puts what the server asks to `asks` and makes the request again, as often as the server wants. */
  callTool(call: ToolCall): Promise<CallToolResult>;
  /** Makes one request, with the answers to what the server has asked before. Resolves with InputWanted when it asks again. */
  sendToolCall(call: ToolCall, answers: InputAnswers): Promise<CallToolResult | InputWanted>;
  request(request: ServerRequest): Promise<Record<string, unknown>>;
  /** Calls back when the resource has changed, until the function that this resolves with is called. Errors as above. */
  watchResource?(uri: string, onUpdated: () => void, options: { timeoutMs: number }): Promise<() => Promise<void>>;
}

/** All servers of the configuration, however each is reached. */
export interface ServerConnections {
  /** Opened when it is not. ERR_MCP for a name that the configuration does not have, else the backend's errors. */
  connection(caller: Caller, server: string): Promise<ServerConnection>;
  /** Gives back all that the session holds. */
  releaseSession(session: string): Promise<void>;
}

/** One way to reach servers: sandboxes, processes on the host, HTTP. */
export interface ServerBackend {
  /** Opened on the first request, shared by those that come meanwhile. */
  get(caller: Caller, server: string): Promise<ServerConnection>;
  /** Gives back all that the session holds, also what is still starting. */
  releaseSession(session: string): Promise<void>;
  /** The thread ends: nothing may keep it alive. */
  disconnect(): Promise<void>;
}

/** Told by whoever holds the connections. */
export interface SessionToolsListener {
  changed(session: string, server: string, connection: ServerConnection): void;
  /** The connection is no more. */
  gone(session: string, server: string): void;
}
