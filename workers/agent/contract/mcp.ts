/** Messages about MCP: what is known of servers, requests to them, and what clients of /mcp ask. Types only. */
import type { Asked } from './sessions.js';
import type { Pins } from '../../../src/shared/tool-pins.js';
import type { ToolDefinition } from '../../../src/shared/tool-definition.js';

/** Tools by server name, in the configuration's order. */
export type Catalogue = Record<string, ToolDefinition[]>;

/** By server name. A server without a note is reachable and has tools only. */
export type ServerNotes = Record<string, ServerNote>;

/** What is known of a server beside its tools. */
export interface ServerNote {
  /** Why its tools cannot be called now. */
  down?: string;
  /** Each user has tools of their own there, after a login. */
  perUser?: boolean;
  /** This user has not logged in. */
  needsLogin?: boolean;
  resources?: boolean;
  prompts?: boolean;
  /** Tools that nobody can read, and why. */
  leftOut?: string[];
}

/** What listing a server for all users has found: its tools, or why there are none. */
export interface ServerListing extends Omit<ServerNote, 'needsLogin'> {
  server: string;
  tools?: ToolDefinition[];
}

/** degraded: its last requests failed; down: so did several in a row; reconnecting: one request tries whether it is back. */
export type ServerState = 'healthy' | 'degraded' | 'reconnecting' | 'down';

/** How a server is doing, as one thread has learnt from its own requests. */
export interface ServerHealth {
  state: ServerState;
  era?: 'legacy' | 'modern';
  /** Of a request and its response, smoothed. */
  latencyMs?: number;
  lastError?: string;
  /** When it entered this state, ms since the epoch. */
  since?: number;
}

/** A server as /v1/mcp shows it. */
export interface ServerStatus extends Omit<ServerHealth, 'state'> {
  name: string;
  kind: 'image' | 'command' | 'url';
  state: ServerState | 'needs_login';
  tools: { name: string; title?: string; description: string }[];
  /** Of its tools, those that nobody can read, and why. */
  leftOut?: string[];
  resources: boolean;
  prompts: boolean;
}

export interface SetCatalogueRequest {
  catalogue: Catalogue;
  notes?: ServerNotes;
  /** Of the data folder; the configuration's outweigh them. */
  pins?: Pins;
}

export interface ServerName {
  server: string;
}

export interface UserServer extends ServerName {
  user: string;
}

export interface McpStatusRequest extends Asked {
  user: string;
}

export interface McpStatusResult {
  /** By server name; without the servers that this thread has not used. */
  health: Record<string, ServerHealth>;
  /** Servers with a login, as this user sees them. */
  own: { server: string; note: ServerNote; tools?: ToolDefinition[] }[];
}

export interface McpTestResult {
  latencyMs: number;
  era: 'legacy' | 'modern';
}

/** A list, a prompt or a resource of a server. */
export type McpRequest = UserServer &
  Asked & { session?: string } & (
    | { method: 'prompts/list' | 'resources/list' }
    | { method: 'prompts/get'; name: string; args: Record<string, string> }
    | { method: 'resources/read'; uri: string }
  );

/** One HTTP request to /mcp, by an authenticated user. */
export interface McpExchange extends Asked {
  /** Made by the front; unique to this request. */
  exchange: string;
  user: string;
  /** The session whose thread this is. */
  session: string;
  /**
   * How the client has named the session: by its MCP session (whose id this is); by the session's own id; not at all, as
   * modern clients do (the session that is kept for the user); or as one that may be created.
   */
  by: { mcpSession: string } | 'id' | 'user' | 'new';
  method: 'GET' | 'POST' | 'DELETE';
  /** Names in lower case; without credentials. */
  headers: Record<string, string>;
  /** Of a POST. */
  body: string;
}

export interface McpAnswer {
  status: number;
  headers: [name: string, value: string][];
  body: string;
}

/** The client of that exchange has disconnected. */
export interface McpAbort {
  exchange: string;
}

export interface McpStreamPart {
  exchange: string;
  /** With the first part only. */
  head?: {
    headers: [name: string, value: string][];
    /** The JSON-RPC request that the stream answers; the client must be told when the stream breaks off. */
    requestId?: string | number;
  };
  text: string;
}

export interface McpStreamResult {
  /** False: the client has disconnected. */
  open: boolean;
}
