/** MCP sessions of clients of the older protocol, each for one Fairlead session. Unused ones leave memory. Agent threads. */
import type { McpServer, WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server';
import { FairleadError } from '../../../src/shared/errors.js';
import { gauge } from '../../../src/shared/metrics.js';

export interface McpSession {
  readonly id: string;
  readonly user: string;
  readonly session: string;
  /** The Fairlead session was created for it, and ends with it. */
  readonly owned: boolean;
  readonly mcp: McpServer;
  readonly transport: WebStandardStreamableHTTPServerTransport;
  /** Its open HTTP requests. */
  open: number;
  /** The Fairlead session holds work that would be lost with it. */
  used: boolean;
  usedAt: number;
}

export interface McpSessionsOptions {
  maxPerUser: number;
  idleMs: number;
  /** Called once for each session that leaves memory. */
  onClosed: (session: McpSession, why: 'deleted' | 'idle' | 'gone') => void;
}

/** Limit for all users of one thread. */
const MAX_SESSIONS = 10_000;
const LOOKS = 4;
const MIN_LOOK_MS = 1_000;

export class McpSessions {
  readonly #options: McpSessionsOptions;
  /** In the order of their last use, the oldest first. */
  readonly #byId = new Map<string, McpSession>();
  readonly #byUser = new Map<string, Set<McpSession>>();
  readonly #bySession = new Map<string, Set<McpSession>>();
  /** Runs while there are sessions. */
  #timer: NodeJS.Timeout | undefined;

  constructor(options: McpSessionsOptions) {
    this.#options = options;
    gauge('fairlead_served_mcp_sessions', 'MCP sessions of clients in memory', [], (g) => g.set(this.#byId.size));
  }

  get all(): Iterable<McpSession> {
    return this.#byId.values();
  }

  isActive(session: string): boolean {
    return [...(this.#bySession.get(session) ?? [])].some(({ open }) => open > 0);
  }

  /** Closes an idle session when there are too many. ERR_TOO_MANY_SOCKETS when all of the user's are in use, ERR_UNAVAILABLE when all are. */
  makeRoom(user: string): void {
    const mine = this.#byUser.get(user);
    if (mine && mine.size >= this.#options.maxPerUser && !this.#closeIdle(mine)) {
      throw new FairleadError('ERR_TOO_MANY_SOCKETS', `this user has ${mine.size} MCP sessions in use`, {
        retryAfterMs: 5_000,
      });
    }
    if (this.#byId.size >= MAX_SESSIONS && !this.#closeIdle(this.#byId.values())) {
      throw new FairleadError('ERR_UNAVAILABLE', 'the server has reached its limit of MCP sessions', {
        retryAfterMs: 5_000,
      });
    }
  }

  add(session: McpSession): void {
    this.#byId.set(session.id, session);
    setOf(this.#byUser, session.user).add(session);
    setOf(this.#bySession, session.session).add(session);
    this.#watch();
  }

  markUsed(id: string): void {
    const session = this.#byId.get(id);
    if (session) session.used = true;
  }

  /** Finds only the user's own sessions. */
  find(id: string, user: string): McpSession | undefined {
    const session = this.#byId.get(id);
    if (session?.user !== user) return undefined;
    this.touch(session);
    return session;
  }

  touch(session: McpSession): void {
    session.usedAt = performance.now();
    if (!this.#byId.delete(session.id)) return;
    this.#byId.set(session.id, session);
  }

  close(session: McpSession, why: 'deleted' | 'idle' | 'gone'): void {
    if (!this.#byId.delete(session.id)) return;
    dropFrom(this.#byUser, session.user, session);
    dropFrom(this.#bySession, session.session, session);
    this.#watch();
    this.#options.onClosed(session, why);
  }

  /** The Fairlead session has been deleted, or moves to another server. */
  release(session: string): void {
    for (const each of this.#bySession.get(session) ?? []) this.close(each, 'gone');
  }

  /** Those of these users, with their subscriptions. */
  closeUsers(users: ReadonlySet<string>): void {
    for (const user of users) for (const session of this.#byUser.get(user) ?? []) this.close(session, 'gone');
  }

  closeAll(): void {
    for (const session of this.#byId.values()) this.close(session, 'gone');
  }

  #closeIdle(among: Iterable<McpSession>): boolean {
    let oldest: McpSession | undefined;
    for (const session of among) {
      if (session.open === 0 && (!oldest || session.usedAt < oldest.usedAt)) oldest = session;
    }
    if (oldest) this.close(oldest, 'idle');
    return oldest !== undefined;
  }

  #watch(): void {
    if (this.#byId.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    const every = Math.max(MIN_LOOK_MS, this.#options.idleMs / LOOKS);
    this.#timer ??= setInterval(() => this.#look(), every);
  }

  #look(): void {
    const before = performance.now() - this.#options.idleMs;
    for (const session of this.#byId.values()) {
      if (session.usedAt >= before) return; // all that follow were used later
      if (session.open > 0) this.touch(session);
      else this.close(session, 'idle');
    }
  }
}

function setOf(map: Map<string, Set<McpSession>>, key: string): Set<McpSession> {
  const known = map.get(key);
  if (known) return known;
  const made = new Set<McpSession>();
  map.set(key, made);
  return made;
}

function dropFrom(map: Map<string, Set<McpSession>>, key: string, session: McpSession): void {
  const known = map.get(key);
  known?.delete(session);
  if (known?.size === 0) map.delete(key);
}
