/** A sandbox that is someone's. Types only. */
import type { ContainerPool } from '../pool/container-pool.js';
import type { Sandbox } from '../pool/sandbox.js';
import type { StdioRelay } from './stdio-relay.js';

export interface Lease {
  readonly id: string;
  readonly session: string;
  readonly server: string;
  readonly sandbox: Sandbox;
  readonly pool: ContainerPool;
  /** How many clients its MCP server had before this one. */
  generation: number;
  /** Something of the session is in it: it must not be given to another. */
  used: boolean;
  /** To its session's agent thread; absent while nobody is there, see orphans.ts. */
  relay?: StdioRelay;
  ended?: Promise<void>;
}
