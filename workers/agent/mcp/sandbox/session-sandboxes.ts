/** The sandboxes of this agent thread's sessions: one for each session and server, or one for all. Leased for the first tool call. */
import { isImageServer } from '../../../../src/shared/config-mcp.js';
import type { Config } from '../../../../src/shared/config.js';
import type { Logger } from '../../../../src/shared/log.js';
import { gauge } from '../../../../src/shared/metrics.js';
import { capabilitiesFor } from '../../../../src/shared/mcp-capabilities.js';
import { ConnectionTable, type TableEntry } from '../host/connection-table.js';
import type { Caller, ServerBackend, SessionToolsListener } from '../host/server-connection.js';
import { SandboxConnection, type SandboxHost } from './connection.js';

/** Checks within `hibernateAfterMs`: a sandbox hibernates at most a fifth of that time late. */
const LOOKS = 5;
const MIN_LOOK_MS = 1_000;
const MAX_LOOK_MS = 30_000;

type SandboxEntry = TableEntry<SandboxConnection>;

export interface SessionSandboxesOptions {
  host: SandboxHost;
  config: Config;
  /** The session id under which this thread leases what all of its sessions share. */
  shared: string;
  sessionTools: SessionToolsListener;
  log: Logger;
}

export class SessionSandboxes implements ServerBackend {
  readonly #options: SessionSandboxesOptions;
  readonly #table: ConnectionTable<SandboxConnection>;
  /** Each resolves with whether the sandbox has gone. */
  readonly #hibernations = new Map<SandboxEntry, Promise<boolean>>();

  constructor(options: SessionSandboxesOptions) {
    this.#options = options;
    const { hibernateAfterMs: afterMs } = options.config.sandbox;
    this.#table = new ConnectionTable({
      sessionTools: options.sessionTools,
      lookEveryMs: afterMs === 0 ? 0 : Math.min(MAX_LOOK_MS, Math.max(MIN_LOOK_MS, afterMs / LOOKS)),
      onLook: (entry, connection) => {
        if (connection.idleMs >= afterMs) void this.#hibernate(entry, connection);
      },
    });
    gauge('fairlead_agent_sandboxes', 'Sandboxes that sessions of this thread hold', [], (g) => {
      g.set(this.#table.all().length);
    });
  }

  /** Leases the session's sandbox for that server and restores its workspace where there is none yet. Callers share one start. */
  async get(caller: Caller, server: string): Promise<SandboxConnection> {
    const session = this.#isShared(server) ? this.#options.shared : caller.session;
    const entry = this.#table.get(session, server);
    const hibernation = entry && this.#hibernations.get(entry);
    if (hibernation && (await hibernation)) return this.get(caller, server);
    return entry ? entry.opening : this.#open(session, server);
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
    await Promise.allSettled(this.#table.clear().map(async ({ opening }) => (await opening).leave()));
  }

  #isShared(name: string): boolean {
    const server = this.#options.config.mcpServers[name];
    return server !== undefined && isImageServer(server) && server.scope === 'shared';
  }

  #open(session: string, server: string): Promise<SandboxConnection> {
    const { host, config, log } = this.#options;
    const opening = SandboxConnection.open({
      host,
      session,
      server,
      capabilities: capabilitiesFor(config.mcpServers, server),
      log,
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

  /** Noted in the same turn of the event loop in which it was found idle: a call that comes now waits for it. */
  #hibernate(entry: SandboxEntry, connection: SandboxConnection): Promise<boolean> {
    const known = this.#hibernations.get(entry);
    if (known) return known;
    const hibernation = connection.hibernate(this.#options.log).then((gone) => {
      this.#hibernations.delete(entry);
      if (gone) this.#table.remove(entry);
      return gone;
    });
    this.#hibernations.set(entry, hibernation);
    return hibernation;
  }
}
