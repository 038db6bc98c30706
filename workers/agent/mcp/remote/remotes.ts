/** `url` servers, reached over HTTP connections that all sessions of an agent thread share. Agent threads. */
import { isUrlServer, serversOf } from '../../../../src/shared/config-mcp.js';
import type { Config } from '../../../../src/shared/config.js';
import { FairleadError } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import { capabilitiesFor } from '../../../../src/shared/mcp-capabilities.js';
import { gauge } from '../../../../src/shared/metrics.js';
import type { Caller, ServerBackend, ServerConnection } from '../host/server-connection.js';
import type { ServerHealth } from '../../contract/mcp.js';
import { NO_AUTH, type AuthSource } from './auth-source.js';
import type { Resolve } from '../../http/outbound.js';
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

export class Remotes implements ServerBackend {
  readonly #servers: ReadonlyMap<string, RemoteServer>;
  readonly #listeners = new Map<string, ListChangeListener>();
  readonly #log: Logger;
  readonly #slots: SlotWakes | undefined;
  /** One timer for all servers of the thread. */
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(config: Config, log: Logger, { auth = NO_AUTH, resolve, slots }: RemotesOptions = {}) {
    const { mcp, mcpServers, proxies } = config;
    const { allowLoopback, allowHosts, maxConnections, requestTimeoutMs: timeoutMs, idleMs } = mcp;
    const rules = { allowLoopback, allowHosts };
    const http = { rules, proxies, maxConnections, timeoutMs, ...(resolve ? { resolve } : {}) };
    this.#log = log;
    this.#slots = slots;
    this.#servers = new Map(
      serversOf(mcpServers, isUrlServer).map(([server, urlServer]) => {
        const capabilities = capabilitiesFor(mcpServers, server);
        const shared = { ...http, slots: slots?.of(server) };
        return [server, new RemoteServer({ server, config: urlServer, http: shared, capabilities, idleMs, auth, log })];
      }),
    );
    if (this.#servers.size === 0) return;
    this.#timer = setInterval(() => this.#tick(), Math.min(MAX_TICK_MS, Math.max(MIN_TICK_MS, idleMs / 4)));
    this.#timer.unref(); // the connections keep the thread alive, not their timer
    gauge('fairlead_agent_remote_connections', 'Connections to url servers that this thread holds', ['server'], (g) => {
      for (const [server, { connections }] of this.#servers) g.set({ server }, connections);
    });
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
    const remote = this.#server(server);
    return remote.isKnown ? remote.health : undefined;
  }

  async releaseSession(session: string): Promise<void> {
    await Promise.all([...this.#servers.values()].map((remote) => remote.releaseSession(session)));
  }

  async disconnect(): Promise<void> {
    clearInterval(this.#timer);
    const listeners = [...this.#listeners.values()];
    this.#listeners.clear();
    await Promise.all(listeners.map((listener) => listener.close()));
    await Promise.all([...this.#servers.values()].map((remote) => remote.close()));
    this.#slots?.close();
  }

  #server(name: string): RemoteServer {
    const remote = this.#servers.get(name);
    if (!remote) throw new FairleadError('ERR_MCP', `${name} is not a url server`);
    return remote;
  }

  #tick(): void {
    const now = performance.now();
    for (const remote of this.#servers.values()) remote.tick(now);
    for (const listener of this.#listeners.values()) listener.tick(now);
  }
}
