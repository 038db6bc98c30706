/**
 * The docker thread's contract: its Piscina task, its control port, and the messages of one sandbox's stdio port.
 * Types only; every thread that uses sandboxes imports it.
 */
import type { DiscoverResult, InitializeResult } from '@modelcontextprotocol/client';
import type { MessagePort } from 'node:worker_threads';
import type { Config } from '../../../src/shared/config.js';
import type { LostFiles } from '../../../src/shared/loss-text.js';
import type { ToolDefinition } from '../../../src/shared/tool-definition.js';
import type { FileTasks } from './files.js';

/** The MCP server's answer to the handshake, unchanged: the session's client is given it and does not ask again. */
export type Handshake = { era: 'legacy'; initialize: InitializeResult } | { era: 'modern'; discover: DiscoverResult };

/** State of the circuit breaker around Docker. */
export type BreakerState = 'closed' | 'half-open' | 'open';

/** What the pool's worker is started with. */
export interface DockerWorkerData {
  config: Config;
  /** This server's id, the label of its containers: after a crash it finds them by it. */
  instance: string;
  /** The driver that the boot has chosen; `auto` is resolved by then. */
  driver: 'docker' | 'process';
}

export interface LeaseRequest {
  session: string;
  /** Whose the session is: who was given many sandboxes lately waits behind others. Absent: nobody's. */
  user?: string;
  /** Key in `mcpServers`. */
  server: string;
  /** Key in `images`: the one that the session has chosen. Absent: the server's own. */
  image?: string;
  /** The sandbox's end of its stdio; see StdioToSandbox and StdioFromSandbox. */
  port: MessagePort;
}

export interface ExecRequest {
  /** Id of a leased sandbox. */
  sandbox: string;
  /** Key in `mcpServers` of a `command` server. */
  server: string;
  /** The server's end of its stdio, as in LeaseRequest. */
  port: MessagePort;
}

/** Paths that a save left out: the first of them, and how many there are. */
export interface SkippedFiles {
  count: number;
  /** Control characters are escaped, and long paths are cut. */
  paths: { path: string; reason: string }[];
}

/** What a save of a workspace holds. */
export interface SavedWorkspace {
  /** When the save began, ms since the epoch: later changes may be missing. */
  savedAt: number;
  files: number;
  skipped: SkippedFiles;
}

/** A session's workspace as a tar, for an export of its user. */
export interface ExportedWorkspace {
  /** Key in `mcpServers`. */
  server: string;
  /** Absent: it could not be written, and `problem` says why. */
  file?: string;
  /** Of the tar. */
  bytes?: number;
  savedAt?: number;
  files?: number;
  /** Paths that the save has left out. */
  skipped?: number;
  problem?: string;
}

/** Bytes of a session's saved workspace on disk; 0: there is none. */
export interface SavedSize {
  session: string;
  server: string;
  bytes: number;
}

/** Files of a session that are gone with their sandbox. */
export interface Loss extends LostFiles {
  /** Told twice, it is written once. */
  id: string;
  session: string;
}

export interface LossTold {
  /** The session's log has it, or the session is no more. False: another server owns the session. */
  told: boolean;
}

export interface ReplaceRequest {
  /** As in LeaseResult. */
  sandbox: string;
  /** For the log, and for a server that runs in it. */
  reason: string;
  /** What cannot be saved is lost. */
  discard: boolean;
}

/** A sandbox as operators see it. */
export interface SandboxInfo {
  /** As in LeaseResult. */
  sandbox: string;
  state: 'starting' | 'warm' | 'leased' | 'draining';
  /** Whose it is. Absent: it waits for a session, or is on its way out. */
  session?: string;
  user?: string;
  /** Key in `mcpServers`. */
  server: string;
  image: string;
  /** When its session got it, ms since the epoch. */
  leasedAt?: number;
  /** What it uses now, without the cache of files; absent: not known. */
  memoryBytes?: number;
  /** Its limit; absent where there is none. */
  maxMemoryBytes?: number;
}

export interface LeaseResult {
  /** Container id, or `process:PID`. */
  sandbox: string;
  /** From the time when the sandbox became warm. */
  handshake: Handshake;
  /** How many clients the MCP server had before this one. Request ids contain it, so that no late answer matches a new request. */
  generation: number;
  /** From the request to the hand-over. */
  waitedMs: number;
  /** The save that was unpacked into it. Absent: it is new and empty, or it is the session's own that ran on. */
  restored?: SavedWorkspace;
}

/**
 * What the docker thread does, by name. `lease-sandbox` is a Piscina task; its result is data (see task-result.ts), since
 * Piscina drops an error's code. The other requests go over the control port, so that leases which hang neither delay nor
 * refuse them.
 */
export interface DockerTasks extends FileTasks {
  /** ERR_SANDBOX when the image is missing, the limits are refused or the container exits; ERR_UNAVAILABLE when the daemon does not answer. */
  'lease-sandbox': { request: LeaseRequest; result: LeaseResult };
  /** Starts a `command` server in a sandbox. It ends with its port or with the sandbox. ERR_SANDBOX, ERR_UNAVAILABLE. */
  'exec-server': { request: ExecRequest; result: null };
  /** The tools of one server's image, and whether it has resources and prompts. Errors as `lease-sandbox`. */
  'read-tools': {
    request: { server: string };
    result: { tools: ToolDefinition[]; resources?: boolean; prompts?: boolean };
  };
  /** Destroys one sandbox. Idempotent. */
  'release-sandbox': { request: { sandbox: string }; result: null };
  /**
   * Saves its workspace, then destroys it. `bytes` on disk; an empty workspace leaves no save. ERR_SANDBOX, ERR_UNAVAILABLE:
   * nothing is saved and the sandbox stays leased.
   */
  'hibernate-sandbox': { request: { sandbox: string }; result: SavedWorkspace & { bytes: number } };
  /** The session wants its sandbox now: a save of it that is under way is dropped, and the sandbox stays. Idempotent. */
  'keep-sandbox': { request: { sandbox: string }; result: null };
  /**
   * Saves its workspace, also where its processes are at their limit, then destroys it. ERR_SANDBOX, ERR_UNAVAILABLE: it
   * cannot be saved and stays, unless `discard` is set.
   */
  'replace-sandbox': { request: ReplaceRequest; result: { saved: boolean } };
  /** An agent thread may hang: the sandboxes whose output it does not take are cut off from it, saved and ended. */
  'cut-loud': { request: { thread: number; threads: number }; result: { cut: number } };
  /** All that there are now, warm ones too. */
  'list-sandboxes': { request: Record<string, never>; result: { sandboxes: SandboxInfo[] } };
  /** Writes the session's workspaces that are here into the folder, each as SERVER.tar; those of running sandboxes are saved first. */
  'export-workspaces': {
    request: { session: string; folder: string };
    result: { workspaces: ExportedWorkspace[] };
  };
  /** The session has ended: destroys its sandboxes and deletes their archives. */
  'release-session': { request: { session: string }; result: { released: number } };
  /** Destroys every sandbox of this instance; nothing can be leased afterwards. */
  'close-sandboxes': { request: Record<string, never>; result: { removed: number } };
  /** Resolves when the thread has what counts from now on. An older one than it has changes nothing. */
  'set-config': { request: { generation: number; config: Config }; result: null };
  /** prom-client metrics of this thread as JSON. */
  'collect-metrics': { request: Record<string, never>; result: { metrics: object[] } };
}

export type DockerTaskName = keyof DockerTasks;

/** What the docker thread tells the main thread. */
export interface DockerHost {
  requests: {
    /** Answers which of these sessions the store does not have. */
    'missing-sessions': { request: { sessions: string[] }; result: { missing: string[] } };
    /** Writes a loss to its session's log, once. ERR_UNAVAILABLE. */
    'tell-loss': { request: Loss; result: LossTold };
    /** Counts saved workspaces for their users. ERR_UNAVAILABLE. */
    'note-saved': { request: { saves: SavedSize[] }; result: null };
  };
  notifications: {
    /** The circuit breaker has changed. */
    breaker: { state: BreakerState };
  };
}

/** Served on the control port, by a Channel. */
export interface DockerControl {
  requests: Omit<DockerTasks, 'lease-sandbox'>;
  notifications: {
    /** The boot is done with the CPUs: warm sandboxes may be started ahead of demand. */
    'fill-pools': Record<string, never>;
  };
}

/** The worker's first message: the main thread's end of its control port. A replacement worker sends a new one. */
export interface DockerControlMessage {
  control: MessagePort;
}

/** What agent threads send into a sandbox's port. */
export type StdioToSandbox =
  | { type: 'stdin'; data: Uint8Array }
  /** Consumed bytes of stdout. The relay stops reading at STDIO_WINDOW_BYTES unacknowledged. */
  | { type: 'ack'; bytes: number }
  /** The server's output cannot be read any longer: the workspace is saved and the sandbox replaced. */
  | { type: 'cut'; reason: string }
  /** A call of `session` that may change files begins or has ended; so many run now, of all sessions. */
  | { type: 'changes'; running: number; session?: string }
  | { type: 'close' };

/** What a sandbox's port sends to the agent thread. */
export type StdioFromSandbox =
  | { type: 'stdout'; data: Uint8Array }
  /** Bounded. For the server's log at debug level, never for a client. */
  | { type: 'stderr'; text: string }
  /** The last message: the sandbox or its stream has ended. */
  | { type: 'exit'; code: number | null; reason: string };

export const STDIO_WINDOW_BYTES = 1_048_576;
