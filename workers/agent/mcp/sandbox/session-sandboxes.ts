/** The sandboxes of this agent thread's sessions, one for each session and server, or one for all; made on the first tool that needs it. */
import { isImageServer } from '../../../../src/shared/config-mcp.js';
import type { Config } from '../../../../src/shared/config.js';
import type { Logger } from '../../../../src/shared/log.js';
import { gauge } from '../../../../src/shared/metrics.js';
import { capabilitiesFor } from '../../../../src/shared/mcp-capabilities.js';
import type { SessionToolsListener } from '../host/server-connection.js';
import { SandboxConnection, type SandboxHost } from './connection.js';
import type { Caller, ServerBackend } from '../host/server-connection.js';

/** How late a sandbox may hibernate, as a part of the time after which it does. */
const LOOKS = 5;
const MIN_LOOK_MS = 1_000;
const MAX_LOOK_MS = 30_000;

interface SandboxEntry {
  opening: Promise<SandboxConnection>;
  /** Once it is open. */
  connection?: SandboxConnection;
  /** Under way; resolves with whether the sandbox has gone. */
  hibernation?: Promise<boolean>;
}

export interface SessionSandboxesOptions {
  host: SandboxHost;
  config: Config;
  /** In whose name this thread holds what all of its sessions share. */
  shared: string;
  sessionTools: SessionToolsListener;
  log: Logger;
}

export class SessionSandboxes implements ServerBackend {
  readonly #host: SandboxHost;
  readonly #config: Config;
  readonly #shared: string;
  readonly #sessionTools: SessionToolsListener;
  readonly #log: Logger;
  /** session → server → its connection. An entry goes when its sandbox ends or hibernates, or its session ends. */
  readonly #bySession = new Map<string, Map<string, SandboxEntry>>();
  /** One for all, while there are any. */
  #timer: NodeJS.Timeout | undefined;

  constructor({ host, config, shared, sessionTools, log }: SessionSandboxesOptions) {
    this.#host = host;
    this.#config = config;
    this.#shared = shared;
    this.#sessionTools = sessionTools;
    this.#log = log;
    gauge('fairlead_agent_sandboxes', 'Sandboxes that sessions of this thread hold', [], (g) => {
      g.set([...this.#all()].length);
    });
  }

  /** The session's sandbox for that server: leased, and its workspace restored, when it has none. Callers share one start. */
  async get(caller: Caller, server: string): Promise<SandboxConnection> {
    const session = this.#isShared(server) ? this.#shared : caller.session;
    const entry = this.#bySession.get(session)?.get(server);
    if (entry?.hibernation && (await entry.hibernation)) return this.get(caller, server);
    return entry ? entry.opening : this.#open(session, server);
  }

  /** Gives back all that the session holds, also what is still starting. */
  async releaseSession(session: string): Promise<void> {
    const servers = this.#bySession.get(session);
    if (!servers) return;
    this.#bySession.delete(session);
    for (const server of servers.keys()) this.#sessionTools.gone(session, server);
    this.#watch();
    await Promise.allSettled([...servers.values()].map(async ({ opening }) => (await opening).close()));
  }

  /** The session goes on elsewhere: its workspaces are saved, as far as they can be. */
  async hibernateSession(session: string): Promise<void> {
    const servers = [...(this.#bySession.get(session) ?? [])];
    await Promise.all(servers.map(([server, entry]) => this.#hibernateHeld(session, server, entry)));
  }

  /** The server stops: every workspace is saved, as far as it can be. Resolves with how many were not. */
  async hibernateAll(): Promise<{ hibernated: number; failed: number }> {
    const gone = await Promise.all(
      [...this.#all()].map(({ session, server, entry }) => this.#hibernateHeld(session, server, entry)),
    );
    const hibernated = gone.filter(Boolean).length;
    return { hibernated, failed: gone.length - hibernated };
  }

  /** The thread ends: an open port would keep it alive. */
  async disconnect(): Promise<void> {
    const all = [...this.#all()];
    this.#bySession.clear();
    this.#watch();
    await Promise.allSettled(all.map(async ({ entry }) => (await entry.opening).disconnect()));
  }

  #isShared(name: string): boolean {
    const server = this.#config.mcpServers[name];
    return server !== undefined && isImageServer(server) && server.scope === 'shared';
  }

  #open(session: string, server: string): Promise<SandboxConnection> {
    const opening = SandboxConnection.open({
      host: this.#host,
      session,
      server,
      capabilities: capabilitiesFor(this.#config.mcpServers, server),
      log: this.#log,
      onEnd: (reason) => {
        this.#log.warn({ session, server, reason }, 'sandbox ended');
        this.#forget(session, server, entry);
      },
      onToolsChanged: () => void this.#noteChanged(session, server, entry),
    });
    const entry: SandboxEntry = { opening };
    const servers = this.#bySession.get(session) ?? new Map<string, SandboxEntry>();
    servers.set(server, entry);
    this.#bySession.set(session, servers);
    this.#watch();
    opening.then(
      (connection) => (entry.connection = connection),
      () => this.#forget(session, server, entry), // the caller gets the error; the next call starts a new one
    );
    return opening;
  }

  #forget(session: string, server: string, entry: SandboxEntry): void {
    const servers = this.#bySession.get(session);
    if (servers?.get(server) !== entry) return;
    servers.delete(server);
    this.#sessionTools.gone(session, server);
    if (servers.size === 0) this.#bySession.delete(session);
    this.#watch();
  }

  async #noteChanged(session: string, server: string, entry: SandboxEntry): Promise<void> {
    const connection = await entry.opening.catch(() => undefined); // that failure is told to its caller
    if (connection && this.#bySession.get(session)?.get(server) === entry) {
      this.#sessionTools.changed(session, server, connection);
    }
  }

  async #hibernateHeld(session: string, server: string, entry: SandboxEntry): Promise<boolean> {
    await entry.opening.catch(() => undefined); // that failure has been told to its caller
    return entry.connection === undefined || this.#hibernate(session, server, entry, entry.connection);
  }

  #hibernate(session: string, server: string, entry: SandboxEntry, connection: SandboxConnection): Promise<boolean> {
    entry.hibernation ??= connection.hibernate(this.#log).then((gone) => {
      delete entry.hibernation;
      if (gone) this.#forget(session, server, entry);
      return gone;
    });
    return entry.hibernation;
  }

  *#all(): Iterable<{ session: string; server: string; entry: SandboxEntry }> {
    for (const [session, servers] of this.#bySession) {
      for (const [server, entry] of servers) yield { session, server, entry };
    }
  }

  #watch(): void {
    const { hibernateAfterMs } = this.#config.sandbox;
    if (this.#bySession.size === 0 || hibernateAfterMs === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    const every = Math.min(MAX_LOOK_MS, Math.max(MIN_LOOK_MS, hibernateAfterMs / LOOKS));
    this.#timer ??= setInterval(() => this.#look(hibernateAfterMs), every);
  }

  #look(afterMs: number): void {
    for (const { session, server, entry } of this.#all()) {
      const { connection } = entry;
      if (connection && connection.idleMs >= afterMs) void this.#hibernate(session, server, entry, connection);
    }
  }
}
