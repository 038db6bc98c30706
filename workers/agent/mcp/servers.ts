/** All MCP servers of the configuration, each with the backend that reaches it. Agent threads. */
import { isCommandServer, isImageServer, serversOf } from '../../../src/shared/config-mcp.js';
import type { Config } from '../../../src/shared/config.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { seesServer } from '../../../src/shared/kept-for-groups.js';
import type { SessionSandboxes } from './sandbox/session-sandboxes.js';
import { NO_USER } from './host/no-user.js';
import type { Caller, ServerBackend, ServerConnection, ServerConnections } from './host/server-connection.js';

export interface ServerBackends {
  sandboxes: SessionSandboxes;
  commands: ServerBackend;
  remotes: ServerBackend;
}

export class McpServers implements ServerConnections {
  readonly #config: Config;
  readonly #backends: ServerBackends;

  constructor(config: Config, backends: ServerBackends) {
    this.#config = config;
    this.#backends = backends;
  }

  /**
   * Opens the connection if needed. ERR_MCP for a name that the configuration lacks, or that is kept for groups of which the caller is in
   * none; else the backend's errors.
   */
  async connection(caller: Caller, server: string): Promise<ServerConnection> {
    const isOurs = caller.user === NO_USER;
    if (!isOurs && !seesServer(this.#config.mcpServers, server, caller.who)) throw noServer(server);
    return this.#backendOf(server).get(caller, server);
  }

  /**
   * Keeps the session's sandbox for files that go in or out: see `SessionSandboxes.hold`. ERR_NOT_FOUND: there is no such server, or its
   * sandbox is not the session's own. `server` undefined: the first that is.
   */
  async holdWorkspace(
    caller: Caller,
    server: string | undefined,
    open: boolean,
  ): Promise<{ server: string; release: (() => void) | undefined }> {
    const own = serversOf(this.#config.mcpServers, isImageServer).filter(
      ([name, { scope }]) => scope === 'session' && seesServer(this.#config.mcpServers, name, caller.who),
    );
    const [name] = own.find(([each]) => server === undefined || each === server) ?? [];
    if (name === undefined) {
      const which = server === undefined ? 'no MCP server here has' : `there is no MCP server ${server} with`;
      throw new FairleadError('ERR_NOT_FOUND', `${which} a workspace of the session’s own`);
    }
    return { server: name, release: await this.#backends.sandboxes.hold(caller, name, open) };
  }

  /** The session has been deleted: releases all that it holds. */
  async releaseSession(session: string): Promise<void> {
    await Promise.all(this.#all().map((backend) => backend.releaseSession(session)));
  }

  /** The session moves to another server: saves its workspaces where possible, and releases the rest. */
  async hibernateSession(session: string): Promise<void> {
    const { sandboxes, commands, remotes } = this.#backends;
    await Promise.all([
      sandboxes.hibernateSession(session),
      commands.releaseSession(session),
      remotes.releaseSession(session),
    ]);
  }

  /** Saves the session's sandboxes and ends them. Resolves with how many. ERR_SANDBOX: one cannot be saved and stays. */
  async restartSandboxes(session: string, reason: string, discard: boolean): Promise<number> {
    return this.#backends.sandboxes.restart(session, reason, discard);
  }

  /** Fairlead stops. Resolves with how many workspaces were saved and how many could not be. */
  hibernateAll(): Promise<{ hibernated: number; failed: number }> {
    return this.#backends.sandboxes.hibernateAll();
  }

  /** The thread ends: closes what would keep it alive. */
  async disconnect(): Promise<void> {
    await Promise.all(this.#all().map((backend) => backend.disconnect()));
  }

  #all(): ServerBackend[] {
    const { sandboxes, commands, remotes } = this.#backends;
    return [sandboxes, commands, remotes];
  }

  #backendOf(name: string): ServerBackend {
    const server = this.#config.mcpServers[name];
    if (!server) throw noServer(name);
    if (isImageServer(server)) return this.#backends.sandboxes;
    return isCommandServer(server) ? this.#backends.commands : this.#backends.remotes;
  }
}

function noServer(name: string): FairleadError {
  return new FairleadError('ERR_MCP', `the configuration has no MCP server ${name}`);
}
