/**
 * The docker thread's contract: tasks of its Piscina pool, and what runs over the MessagePort of one sandbox's stdio.
 * Types only; imported by every thread that asks for a sandbox.
 */
import type { DiscoverResult, InitializeResult } from '@modelcontextprotocol/client';
import type { MessagePort } from 'node:worker_threads';
import type { Config } from '../../../src/shared/config.js';
import type { ToolDefinition } from '../../../src/shared/tool-definition.js';

/** How the server answered when it was greeted, as it sent it: the session's client is given it instead of asking again. */
export type Handshake = { era: 'legacy'; initialize: InitializeResult } | { era: 'modern'; discover: DiscoverResult };

/** Of the circuit breaker around Docker. */
export type BreakerState = 'closed' | 'half-open' | 'open';

/** What the pool's worker is started with. */
export interface DockerWorkerData {
  config: Config;
  /** This server's identity: the label by which it knows its own containers, also after a crash. */
  instance: string;
  /** The driver that the boot decided on; `auto` is settled by then. */
  driver: 'docker' | 'process';
}

export interface LeaseRequest {
  session: string;
  /** Key in `mcpServers`. */
  server: string;
  /** The sandbox's end of its stdio; see StdioToSandbox and StdioFromSandbox. */
  port: MessagePort;
}

export interface ExecRequest {
  /** One that is leased. */
  sandbox: string;
  /** Key in `mcpServers`, of a `command`. */
  server: string;
  /** The server's end of its stdio, as that of a lease. */
  port: MessagePort;
}

export interface LeaseResult {
  /** Container id, or `process:PID`. */
  sandbox: string;
  /** What its MCP server answered when it was greeted, long ago. */
  handshake: Handshake;
  /** How many clients the MCP server has had before this one; ids of requests must be of this generation only. */
  generation: number;
  /** From being asked to being handed over. */
  waitedMs: number;
}

/**
 * What the docker thread does, by name. `lease-sandbox` is a Piscina task; its result is data (see task-result.ts), since
 * Piscina would lose an error's code. All that frees or only looks goes over the control port
 * instead: it is neither refused nor delayed while leases hang.
 */
export interface DockerTasks {
  /** ERR_SANDBOX when the image is missing, the limits are refused or the container exits; ERR_UNAVAILABLE when the daemon does not answer. */
  'lease-sandbox': { request: LeaseRequest; result: LeaseResult };
  /** Starts a `command` server in it, which ends with its port, or with the sandbox. ERR_SANDBOX, ERR_UNAVAILABLE. */
  'exec-server': { request: ExecRequest; result: null };
  /** The tools of one server's image, and what it has beside them. Errors as `lease-sandbox`. */
  'read-tools': {
    request: { server: string };
    result: { tools: ToolDefinition[]; resources?: boolean; prompts?: boolean };
  };
  /** Destroys one sandbox. Releasing twice is fine. */
  'release-sandbox': { request: { sandbox: string }; result: null };
  /** Saves its workspace, then destroys it. ERR_SANDBOX, ERR_UNAVAILABLE: not saved, and it stays leased. */
  'hibernate-sandbox': { request: { sandbox: string }; result: { bytes: number; files: number } };
  /** The session has ended: destroys all its sandboxes and what was saved of them. */
  'release-session': { request: { session: string }; result: { released: number } };
  /** Destroys all that this instance has; nothing can be leased afterwards. */
  'close-sandboxes': { request: Record<string, never>; result: { removed: number } };
  /** prom-client metrics of this thread as JSON. */
  'collect-metrics': { request: Record<string, never>; result: { metrics: object[] } };
}

export type DockerTaskName = keyof DockerTasks;

/** What the docker thread tells the main thread. */
export interface DockerHost {
  requests: {
    /** Those of these sessions that the store does not know. */
    'missing-sessions': { request: { sessions: string[] }; result: { missing: string[] } };
  };
  notifications: {
    /** The circuit breaker before Docker. */
    breaker: { state: BreakerState };
  };
}

/** Served on the control port, by a Channel. */
export interface DockerControl {
  requests: Omit<DockerTasks, 'lease-sandbox'>;
  notifications: {
    /** Nothing more urgent wants the processors: sandboxes may be started that nobody has asked for. */
    'fill-pools': Record<string, never>;
  };
}

/** The worker's first message: the main thread's end of its control port. A replacement sends its own. */
export interface DockerControlMessage {
  control: MessagePort;
}

/** What agent threads send into a sandbox's port. */
export type StdioToSandbox =
  | { type: 'stdin'; data: Uint8Array }
  /** So many bytes of stdout were consumed; the relay stops reading at STDIO_WINDOW_BYTES unacknowledged. */
  | { type: 'ack'; bytes: number }
  | { type: 'close' };

/** What a sandbox's port sends to the agent thread. */
export type StdioFromSandbox =
  | { type: 'stdout'; data: Uint8Array }
  /** For the server's log at debug level only, bounded; never to a client. */
  | { type: 'stderr'; text: string }
  /** The last message: the sandbox has ended, or its stream has. */
  | { type: 'exit'; code: number | null; reason: string };

export const STDIO_WINDOW_BYTES = 1_048_576;
