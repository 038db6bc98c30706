/** The counters behind the limits of users: what stores keep of each user beside the sessions. Types only; agent threads. */
import type { Config } from '../../../src/shared/config.js';
import { isLimited, type Quota, type QuotaExcess } from '../../../src/shared/quotas.js';

/** What a commit is counted for, in the step that writes it. */
export interface CommitCount {
  user: string;
  /** The step accepts a message of so many bytes, which must keep these limits: over one nothing is written. Absent: it is only counted. */
  accepts?: Pick<Quota, 'maxTurns' | 'maxMessagesPerMinute' | 'maxHistoryBytes'> & { bytes: number };
}

/** What a store counts. A limit that nobody has costs nothing. */
export interface Counting {
  turns: boolean;
  history: boolean;
  /** An open turn whose session writes nothing for so long counts no more: its server may be gone for good. */
  turnLeaseMs: number;
}

export const NO_COUNTING: Counting = { turns: false, history: false, turnLeaseMs: 0 };

/** A sandbox that a session holds or asks for. */
export interface SandboxClaim {
  user: string;
  session: string;
  server: string;
}

export interface SocketClaim {
  /** The server's name, of this run alone: `INSTANCE#RUN`. */
  server: string;
  user: string;
  /** Of this server, that one included. */
  open: number;
}

export interface UserCounts {
  sessions: number;
  turns: number;
  sandboxes: number;
  workspaceBytes: number;
  historyBytes: number;
}

/**
 * Counts of one user over all sessions, threads and servers of the store. Claims end by themselves, `CLAIM_MS` after they were
 * last renewed, so that those of a server that has crashed do not stay. All times are of the store's clock.
 */
export interface QuotaCounters {
  /**
   * Undefined: the sandbox is counted from now on; claimed again, it counts once. A session without a saved workspace gets none while
   * the user is over `maxWorkspaceBytes`.
   */
  claimSandbox(
    claim: SandboxClaim,
    limits: Pick<Quota, 'maxSandboxes' | 'maxWorkspaceBytes'>,
  ): Promise<QuotaExcess | undefined>;
  /** Also counts what was forgotten meanwhile: the sandboxes are there. */
  renewSandboxes(claims: readonly SandboxClaim[]): Promise<void>;
  /** Idempotent. */
  releaseSandbox(claim: SandboxClaim): Promise<void>;
  /** The save of this session and server has so many bytes on disk now; 0: there is none. Nothing for a session that is no more. */
  noteSaved(session: string, server: string, bytes: number): Promise<void>;
  /** Undefined: this server's connections of the user are counted as so many. */
  claimSockets(claim: SocketClaim, maxSockets: number): Promise<QuotaExcess | undefined>;
  /** The server is there, which must be said more often than CLAIM_MS, and has so many connections of these users. */
  renewSockets(server: string, claims: readonly Omit<SocketClaim, 'server'>[]): Promise<void>;
  readCounts(user: string): Promise<UserCounts>;
  /** Nothing is counted for the user any more. Idempotent. */
  forgetUser(user: string): Promise<void>;
}

/** How long a claim counts without being renewed. */
export const CLAIM_MS = 90_000;
/** The window of `maxMessagesPerMinute`. */
export const MINUTE_MS = 60_000;
/** Beyond the longest silence of a turn that lives. */
const TURN_MARGIN_MS = 60_000;

/** What must be counted so that the configuration's limits can be kept. */
export function countingOf(config: Pick<Config, 'quotas' | 'limits' | 'model' | 'sandbox' | 'approvals'>): Counting {
  const { limits, model, sandbox, approvals } = config;
  return {
    turns: isLimited(config, 'maxTurns'),
    history: isLimited(config, 'maxHistoryBytes'),
    turnLeaseMs:
      Math.max(limits.modelWaitMs + model.timeoutMs, sandbox.toolTimeoutMs, approvals.timeoutMs) + TURN_MARGIN_MS,
  };
}
