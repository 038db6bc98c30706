/** The sandboxes of this agent thread's sessions: one for each session and server, or one for all. Leased for the first tool call. */
import { isImageServer } from '../../../../src/shared/config-mcp.js';
import type { Config } from '../../../../src/shared/config.js';
import type { Logger } from '../../../../src/shared/log.js';
import { gauge } from '../../../../src/shared/metrics.js';
import { capabilitiesFor } from '../../../../src/shared/mcp-capabilities.js';
import type { ServerChanges } from '../../../../src/shared/server-changes.js';
import { ConnectionTable, type TableEntry } from '../host/connection-table.js';
import { lastCalls } from '../host/last-calls.js';
import type { Caller, ServerBackend, SessionToolsListener } from '../host/server-connection.js';
import { FREE, type SandboxClaims } from './sandbox-claims.js';
import { SandboxConnection, SILENT, type SandboxHost } from './connection.js';

/** Checks within `hibernateAfterMs`: a sandbox hibernates at most a fifth of that time late. */
const LOOKS = 5;
const MIN_LOOK_MS = 1_000;
const MAX_LOOK_MS = 30_000;

type SandboxEntry = TableEntry<SandboxConnection>;

interface Leaving {
  /** Resolves with whether the sandbox has gone. */
  gone: Promise<boolean>;
  /** Only its idle time made it leave: a call may keep it. */
  idle: boolean;
}

export interface SessionSandboxesOptions {
  host: SandboxHost;
  config: Config;
  /** Absent: sandboxes are not counted for their users. */
  claims?: SandboxClaims | undefined;
  /** The image that a session has chosen; undefined: none. Rejects with the store's error. Absent: no session chooses. */
  imageOf?: (session: string, server: string) => Promise<string | undefined>;
  /** The session id under which this thread leases what all of its sessions share. */
  shared: string;
  sessionTools: SessionToolsListener;
  log: Logger;
}

export class SessionSandboxes implements ServerBackend {
  readonly #options: SessionSandboxesOptions;
  readonly #table: ConnectionTable<SandboxConnection>;
  /** Sandboxes that are saved and released, or replaced. */
  readonly #leaving = new Map<SandboxEntry, Leaving>();

  constructor(options: SessionSandboxesOptions) {
    this.#options = options;
    const { hibernateAfterMs: afterMs } = options.config.sandbox;
    this.#table = new ConnectionTable({
      sessionTools: options.sessionTools,
      lookEveryMs: afterMs === 0 ? 0 : Math.min(MAX_LOOK_MS, Math.max(MIN_LOOK_MS, afterMs / LOOKS)),
      onLook: (entry, connection) => {
        if (connection.idleMs >= afterMs) void this.#hibernate(entry, connection);
      },
      onRemoved: ({ owner, server }) => options.claims?.end(owner, server),
    });
    gauge('fairlead_agent_sandboxes', 'Sandboxes that sessions of this thread hold', [], (g) => {
      g.set(this.#table.all().length);
    });
  }

  /** Leases the session's sandbox for that server and restores its workspace where there is none yet. Callers share one start. */
  async get(caller: Caller, server: string): Promise<SandboxConnection> {
    const session = this.#isShared(server) ? this.#options.shared : caller.session;
    const entry = this.#table.get(session, server);
    const leaving = entry && this.#leaving.get(entry);
    // A save that stalls would keep the call waiting, and one that ends would have it wait for the files to come back.
    if (leaving?.idle) void entry?.connection?.keep().catch(() => undefined); // then it is waited for
    if (leaving && (await leaving.gone)) return this.get(caller, server);
    return entry ? entry.opening : this.#open(session, server, caller);
  }

  /**
   * Its sandbox does not hibernate until the returned function is called. Undefined: it has none, and `open` does not ask for one. Errors of
   * the lease.
   */
  async hold(caller: Caller, server: string, open: boolean): Promise<(() => void) | undefined> {
    if (!open && !this.#table.get(caller.session, server)) return undefined;
    const connection = await this.get(caller, server);
    return connection.countIn({ idleMs: 0 });
  }

  /**
   * Sandboxes of a changed server or image, or of one that is gone, end with their last calls: their files are saved. A call that comes meanwhile
   * waits, since a session's files are in one sandbox at a time.
   */
  applyConfig({ changed, removed }: Pick<ServerChanges, 'changed' | 'removed'>, images: readonly string[] = []): void {
    for (const server of [...changed, ...removed]) {
      for (const entry of this.#table.to(server)) void this.#note(entry, false, this.#endQuiet(entry));
    }
    for (const entry of images.length > 0 ? this.#table.all() : []) {
      const image = entry.connection?.image;
      if (image !== undefined && images.includes(image)) void this.#note(entry, false, this.#endQuiet(entry));
    }
  }

  async #endQuiet(entry: SandboxEntry): Promise<boolean> {
    const before = this.#leaving.get(entry);
    if (before && (await before.gone)) return true;
    const connection = await entry.opening.catch(() => undefined); // its caller has got that error
    if (!connection) return true;
    const isHeld = (): boolean => this.#table.get(entry.owner, entry.server) === entry;
    await lastCalls(connection, isHeld);
    return isHeld() ? connection.hibernate(this.#options.log) : true;
  }

  async releaseSession(session: string): Promise<void> {
    const released = this.#table.removeOwner(session);
    await Promise.allSettled(released.map(async ({ opening }) => (await opening).close()));
  }

  /** Saves the session's workspaces as far as possible: the session goes on at another server. */
  async hibernateSession(session: string): Promise<void> {
    await Promise.all(this.#table.of(session).map((entry) => this.#hibernateOpened(entry)));
  }

  /** Saves every workspace as far as possible: the server stops. Resolves with how many were saved and how many not. */
  async hibernateAll(): Promise<{ hibernated: number; failed: number }> {
    const gone = await Promise.all(this.#table.all().map((entry) => this.#hibernateOpened(entry)));
    const hibernated = gone.filter(Boolean).length;
    return { hibernated, failed: gone.length - hibernated };
  }

  /** The thread ends, and an open port would keep it alive. */
  async disconnect(): Promise<void> {
    this.#options.claims?.close();
    await Promise.allSettled(this.#table.clear().map(async ({ opening }) => (await opening).leave()));
  }

  #isShared(name: string): boolean {
    const server = this.#options.config.mcpServers[name];
    return server !== undefined && isImageServer(server) && server.scope === 'shared';
  }

  #open(session: string, server: string, caller: Caller): Promise<SandboxConnection> {
    const { host, config, claims, log } = this.#options;
    const { user } = caller;
    // A shared sandbox is nobody's.
    const permit = (session === caller.session ? claims?.ask(caller, server) : undefined) ?? FREE;
    const opening = SandboxConnection.open({
      host,
      session,
      user,
      server,
      permit,
      image: session === caller.session ? async () => this.#options.imageOf?.(session, server) : undefined,
      capabilities: capabilitiesFor(config.mcpServers, server),
      silenceMs: config.mcp.silenceMs,
      maxResultBytes: config.limits.maxToolResultBytes,
      log,
      onSilent: (connection) => this.#replace(entry, connection, SILENT, false),
      onEnd: (reason) => {
        log.warn({ session, server, reason }, 'sandbox ended');
        this.#table.remove(entry);
      },
      onToolsChanged: () => void this.#table.toolsChanged(entry),
    });
    const entry = this.#table.add(session, server, opening);
    return opening;
  }

  async #hibernateOpened(entry: SandboxEntry): Promise<boolean> {
    await entry.opening.catch(() => undefined); // its caller has got that error
    return entry.connection === undefined || this.#hibernate(entry, entry.connection);
  }

  /** Saves the session's sandboxes and ends them: the next call gets a fresh one with the files. Resolves with how many. */
  async restart(session: string, reason: string, discard: boolean): Promise<number> {
    const entries = this.#table.of(session);
    await Promise.all(
      entries.map(async (entry) => {
        const connection = await entry.opening.catch(() => undefined); // its caller has got that error
        if (connection) await this.#replace(entry, connection, reason, discard);
      }),
    );
    return entries.length;
  }

  /** ERR_SANDBOX: it could not be saved and stays. */
  async #replace(entry: SandboxEntry, connection: SandboxConnection, reason: string, discard: boolean): Promise<void> {
    const before = this.#leaving.get(entry);
    if (before && (await before.gone)) return;
    const replacing = connection.replace(reason, discard);
    void this.#note(
      entry,
      false,
      replacing.then(
        () => true,
        () => false,
      ),
    );
    await replacing;
  }

  /** Noted in the same turn of the event loop in which it was found idle: a call that comes now waits for it. */
  #hibernate(entry: SandboxEntry, connection: SandboxConnection): Promise<boolean> {
    const known = this.#leaving.get(entry);
    return known ? known.gone : this.#note(entry, true, connection.hibernate(this.#options.log));
  }

  #note(entry: SandboxEntry, idle: boolean, ended: Promise<boolean>): Promise<boolean> {
    const gone = ended.then((isGone) => {
      this.#leaving.delete(entry);
      if (isGone) this.#table.remove(entry);
      return isGone;
    });
    this.#leaving.set(entry, { gone, idle });
    return gone;
  }
}
