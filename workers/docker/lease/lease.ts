/** A sandbox that belongs to a session. Types only. */
import type { ContainerPool } from '../pool/container-pool.js';
import type { SavedWorkspace } from '../contract/messages.js';
import type { Sandbox } from '../pool/sandbox.js';
import type { StdioRelay } from './stdio-relay.js';

export interface Lease {
  readonly id: string;
  readonly session: string;
  readonly server: string;
  /** Key in `images`; absent: the server's own. */
  readonly image?: string | undefined;
  readonly sandbox: Sandbox;
  readonly pool: ContainerPool;
  /** ms since the epoch. */
  readonly leasedAt: number;
  /** When files may last have changed, ms since the epoch. Absent: not since the newest save. */
  changedAt?: number;
  /** Calls that may change files and run now. */
  changing?: number;
  /** Of a shared sandbox: whose calls may have changed files since the newest save. They are told of a loss. */
  changedBy?: ReadonlySet<string>;
  /** It came with changed files from an earlier run: nobody knows how long these have waited for a save. */
  overdue?: true;
  /** How many clients its MCP server had before this one. */
  generation: number;
  /** It may hold data of the session: no other session may get it. */
  used: boolean;
  /** The save that was unpacked into it, until its session is told. */
  restored?: SavedWorkspace;
  /** Its container has ended: one that was restarted since is empty, and a save of it would replace the good one. */
  dead?: true;
  /** To the session's agent thread; absent while it is an orphan. */
  relay?: StdioRelay;
  /** Set while it is saved: aborting it keeps the sandbox. */
  saving?: AbortController;
  /** Saves and ends it; never rejects. Nobody waits for its session to come back. */
  leaving?: Promise<unknown>;
  ended?: Promise<void>;
}
