/**
 * The docker thread's contract: tasks of its Piscina pool, and what runs over the MessagePort of one sandbox's stdio.
 * Types only; imported by every thread that asks for a sandbox.
 */
import type { MessagePort } from 'node:worker_threads';
import type { Config } from '../../src/config.js';

/** What the pool's worker is started with. */
export interface DockerWorkerData {
  config: Config;
  /** This server's identity: the label by which it knows its own containers, also after a crash. */
  instance: string;
  /** The driver that the boot decided on; `auto` is settled by then. */
  driver: 'docker' | 'process';
}

export interface LeaseRequest {
  /** The session, or `probe:SERVER` for the boot's look at a server's tools. */
  session: string;
  /** Key in `mcpServers`. */
  server: string;
  /** The sandbox's end of its stdio; see StdioToSandbox and StdioFromSandbox. */
  port: MessagePort;
}

export interface LeaseResult {
  /** Container id, or `process:PID`. */
  sandbox: string;
  startedMs: number;
}

/**
 * What the docker thread does, by name. `lease-sandbox` is a Piscina task: 20 at once, 100 waiting; its result is data
 * (see task-result.ts), since Piscina would lose an error's code. All that frees or only looks goes over the control port
 * instead: it is neither refused nor delayed while leases hang.
 */
export interface DockerTasks {
  /** ERR_SANDBOX when the image is missing, the limits are refused or the container exits; ERR_UNAVAILABLE when the daemon does not answer. */
  'lease-sandbox': { request: LeaseRequest; result: LeaseResult };
  /** Destroys one sandbox. Releasing twice is fine. */
  'release-sandbox': { request: { sandbox: string }; result: null };
  /** Destroys all sandboxes of one session. */
  'release-session': { request: { session: string }; result: { released: number } };
  /** Destroys what an earlier run of this instance left. */
  'sweep-leftovers': { request: Record<string, never>; result: { removed: number } };
  /** Destroys all that this instance has; nothing can be leased afterwards. */
  'close-sandboxes': { request: Record<string, never>; result: { removed: number } };
  /** prom-client metrics of this thread as JSON. */
  'collect-metrics': { request: Record<string, never>; result: { metrics: object[] } };
}

export type DockerTaskName = keyof DockerTasks;

/** Served on the control port, by a Channel. */
export interface DockerControl {
  requests: Omit<DockerTasks, 'lease-sandbox'>;
  notifications: Record<string, never>;
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
