/** `url` servers, reached over HTTP connections that all sessions of an agent thread share. Agent threads. */
import type { CallToolResult, ProtocolEra } from '@modelcontextprotocol/client';
import { isUrlServer, serversOf } from '../../../../src/shared/config-mcp.js';
import type { Config } from '../../../../src/shared/config.js';
import { FairleadError } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import { capabilitiesFor } from '../../../../src/shared/mcp-capabilities.js';
import { gauge } from '../../../../src/shared/metrics.js';
import type { InputAnswers, InputWanted } from '../host/input-wanted.js';
import type { Caller, ServerBackend, ServerConnection, ServerRequest, ToolCall } from '../host/server-connection.js';
import type { ServerHealth } from '../../contract/mcp.js';
import { NO_AUTH, type AuthSource } from './auth-source.js';
import type { OpenedConnection } from './opening.js';
import type { Resolve } from '../../http/outbound.js';
import { RemoteServer } from './remote-server.js';
import { ListChangeListener } from './list-change-listener.js';

const MIN_TICK_MS = 200;
const MAX_TICK_MS = 5_000;

export interface RemotesOptions {
  auth?: AuthSource;
  /** Resolves host names. Absent: the system does. */
  resolve?: Resolve;
}

export class Remotes implements ServerBackend {
  readonly #servers: ReadonlyMap<string, RemoteServer>;
  readonly #listeners = new Map<string, ListChangeListener>();
  readonly #log: Logger;
  /** One timer for all servers of the thread. */
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(config: Config, log: Logger, { auth = NO_AUTH, resolve }: RemotesOptions = {}) {
    const { mcp, mcpServers } = config;
    const { allowLoopback, allowHosts, maxConnections, requestTimeoutMs: timeoutMs, idleMs } = mcp;
    const http = { rules: { allowLoopback, allowHosts }, maxConnections, timeoutMs, ...(resolve ? { resolve } : {}) };
    this.#log = log;
    this.#servers = new Map(
      serversOf(mcpServers, isUrlServer).map(([server, urlServer]) => {
        const capabilities = capabilitiesFor(mcpServers, server);
        return [server, new RemoteServer({ server, config: urlServer, http, capabilities, idleMs, auth, log })];
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

  /** Probes the server now. Rejects when it is unreachable. */
  probe(server: string): Promise<void> {
    return this.#server(server).probe();
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

/** Before a login its capabilities are unknown. It may have all; a request for one leads to the login. */
const UNKNOWN = { tools: {}, prompts: {}, resources: {} };

/** Holds nothing, and needs no close. */
class RemoteConnection implements ServerConnection {
  readonly #remote: RemoteServer;
  readonly #caller: Caller;
  #opened: OpenedConnection | undefined;
  readonly #onOpened = (opened: OpenedConnection): void => void (this.#opened = opened);

  constructor(remote: RemoteServer, caller: Caller, opened: OpenedConnection | undefined) {
    this.#remote = remote;
    this.#caller = caller;
    this.#opened = opened;
  }

  get era(): ProtocolEra {
    return this.#opened?.client.era ?? 'legacy';
  }

  get capabilities(): Readonly<Record<string, unknown>> {
    return this.#opened?.client.capabilities ?? UNKNOWN;
  }

  callTool(call: ToolCall): Promise<CallToolResult> {
    return this.#remote.callTool(this.#caller, call, this.#onOpened);
  }

  sendToolCall(call: ToolCall, answers: InputAnswers): Promise<CallToolResult | InputWanted> {
    return this.#remote.sendToolCall(this.#caller, call, answers, this.#onOpened);
  }

  request(request: ServerRequest): Promise<Record<string, unknown>> {
    return this.#remote.request(this.#caller, request, this.#onOpened);
  }

  watchResource(uri: string, onUpdated: () => void, options: { timeoutMs: number }): Promise<() => Promise<void>> {
    return this.#remote.watchResource(this.#caller, uri, onUpdated, options);
  }
}
