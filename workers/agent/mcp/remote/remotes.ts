/** `url` servers, reached over HTTP connections that all sessions of an agent thread share. Agent threads. */
import { isUrlServer, serversOf, type UrlServerConfig } from '../../../../src/shared/config-mcp.js';
import type { Config } from '../../../../src/shared/config.js';
import { FairleadError } from '../../../../src/shared/errors.js';
import { liveView } from '../../../../src/shared/live-view.js';
import type { Logger } from '../../../../src/shared/log.js';
import { capabilitiesFor } from '../../../../src/shared/mcp-capabilities.js';
import { gauge } from '../../../../src/shared/metrics.js';
import { definitionKey } from '../../../../src/shared/server-changes.js';
import type { Caller, ServerBackend, ServerConnection } from '../host/server-connection.js';
import type { ServerHealth } from '../../contract/mcp.js';
import { closedServer, LAST_CALLS_MS, QUIET_MS } from '../host/last-calls.js';
import { NO_AUTH, type AuthSource } from './auth-source.js';
import { mayBePrivate, type Resolve } from '../../http/outbound.js';
import type { SlotWakes } from '../../http/slot-wakes.js';
import { RemoteConnection } from './remote-connection.js';
import { RemoteServer } from './remote-server.js';
import { ListChangeListener } from './list-change-listener.js';

const MIN_TICK_MS = 200;
const MAX_TICK_MS = 5_000;

export interface RemotesOptions {
  auth?: AuthSource;
  /** Resolves host names. Absent: the system does. */
  resolve?: Resolve;
  /** Shared with other threads. Absent: each server's connections are this thread's alone. */
  slots?: SlotWakes | undefined;
}

/** A server that the configuration has had, until its last calls have ended. */
interface RetiredServer {
  remote: RemoteServer;
  /** On the monotonic clock. */
  endsAt: number;
}

export class Remotes implements ServerBackend {
  readonly #config: Config;
  readonly #options: RemotesOptions;
  readonly #servers = new Map<string, { key: string; remote: RemoteServer }>();
  readonly #retired = new Set<RetiredServer>();
  readonly #listeners = new Map<string, ListChangeListener>();
  readonly #log: Logger;
  /** One timer for all servers of the thread. */
  readonly #timer: NodeJS.Timeout;

  /** `config` shows what counts now: see `applyConfig`. */
  constructor(config: Config, log: Logger, options: RemotesOptions = {}) {
    const { idleMs } = config.mcp;
    this.#config = config;
    this.#options = options;
    this.#log = log;
    this.applyConfig();
    this.#timer = setInterval(() => this.#tick(), Math.min(MAX_TICK_MS, Math.max(MIN_TICK_MS, idleMs / 4)));
    this.#timer.unref(); // the connections keep the thread alive, not their timer
    gauge('fairlead_agent_remote_connections', 'Connections to url servers that this thread holds', ['server'], (g) => {
      g.reset(); // of servers that are gone
      for (const [server, { remote }] of this.#servers) g.set({ server }, remote.connections);
    });
  }

  /** The servers are those of the configuration from now on. One that is changed or gone gets no new call, and is closed when its last one has ended. */
  applyConfig(): void {
    const urls = new Map(serversOf(this.#config.mcpServers, isUrlServer));
    for (const [server, { key }] of this.#servers) {
      const now = urls.get(server);
      if (!now || this.#keyOf(now) !== key) this.#retire(server);
    }
    for (const [server, config] of urls) {
      if (this.#servers.has(server)) continue;
      this.#servers.set(server, { key: this.#keyOf(config), remote: this.#newServer(server, config) });
    }
  }

  /** Connects first, unless the user must log in: then the first request connects, and asks the user. */
  async get(caller: Caller, server: string): Promise<ServerConnection> {
    const remote = this.#server(server);
    return new RemoteConnection(remote, caller, await remote.connect(caller));
  }

  /** Calls back when the server's lists have changed, and when it is reachable again. One callback a server: a later call replaces it. */
  watch(caller: Caller, server: string, onChanged: () => void): void {
    const listener = this.#listeners.get(server);
    if (listener) listener.onChanged = onChanged;
    else
      this.#listeners.set(
        server,
        new ListChangeListener({ remote: this.#server(server), server, caller, onChanged, log: this.#log }),
      );
  }

  /** Undefined while this thread has not used the server. */
  status(server: string): ServerHealth | undefined {
    const remote = this.#servers.get(server)?.remote;
    return remote?.isKnown ? remote.health : undefined;
  }

  async releaseSession(session: string): Promise<void> {
    await Promise.all(this.#all().map((remote) => remote.releaseSession(session)));
  }

  async disconnect(): Promise<void> {
    clearInterval(this.#timer);
    const listeners = [...this.#listeners.values()];
    this.#listeners.clear();
    await Promise.all(listeners.map((listener) => listener.close()));
    await Promise.all(this.#all().map((remote) => remote.close()));
    this.#options.slots?.close();
  }

  #server(name: string): RemoteServer {
    const remote = this.#servers.get(name)?.remote;
    if (!remote) throw new FairleadError('ERR_MCP', `${name} is not a url server`);
    return remote;
  }

  #tick(): void {
    const now = performance.now();
    for (const remote of this.#all()) remote.tick(now);
    for (const listener of this.#listeners.values()) listener.tick(now);
    for (const retired of this.#retired) {
      const { remote, endsAt } = retired;
      if (remote.quietMs < QUIET_MS && now < endsAt) continue;
      this.#retired.delete(retired);
      void remote.close(closedServer(remote.name));
    }
  }

  #all(): RemoteServer[] {
    const retired = [...this.#retired].map(({ remote }) => remote);
    return [...[...this.#servers.values()].map(({ remote }) => remote), ...retired];
  }

  /** A host that may no longer have a private address loses the connections that it has. */
  #keyOf(config: UrlServerConfig): string {
    return JSON.stringify([definitionKey(config), mayBePrivate(new URL(config.url), this.#config.mcp)]);
  }

  #newServer(server: string, config: UrlServerConfig): RemoteServer {
    const all = this.#config;
    const { auth = NO_AUTH, resolve, slots } = this.#options;
    const http = {
      rules: liveView(['allowLoopback', 'allowHosts'], () => all.mcp),
      proxies: all.proxies,
      maxConnections: all.mcp.maxConnections,
      get timeoutMs() {
        return all.mcp.requestTimeoutMs;
      },
      slots: slots?.of(server),
      ...(resolve ? { resolve } : {}),
    };
    const { idleMs } = all.mcp;
    const capabilities = capabilitiesFor(all.mcpServers, server);
    return new RemoteServer({ server, config, http, capabilities, idleMs, auth, log: this.#log });
  }

  #retire(server: string): void {
    const known = this.#servers.get(server);
    if (!known) return;
    this.#servers.delete(server);
    void this.#listeners.get(server)?.close();
    this.#listeners.delete(server);
    this.#retired.add({ remote: known.remote, endsAt: performance.now() + LAST_CALLS_MS });
  }
}
