/** All MCP servers of the configuration, each behind the way it is reached by. Agent threads. */
import { isCommandServer, isImageServer } from '../../../src/shared/config-mcp.js';
import type { Config } from '../../../src/shared/config.js';
import { FairleadError } from '../../../src/shared/errors.js';
import type { SessionSandboxes } from './sandbox/session-sandboxes.js';
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

  /** Opened when it is not. ERR_MCP for a name that the configuration does not have, else the backend's errors. */
  async connection(caller: Caller, server: string): Promise<ServerConnection> {
    return this.#backendOf(server).get(caller, server);
  }

  /** The session is no more. */
  async releaseSession(session: string): Promise<void> {
    await Promise.all(this.#all().map((backend) => backend.releaseSession(session)));
  }

  /** The session goes on elsewhere: its workspaces are saved, as far as they can be. */
  async hibernateSession(session: string): Promise<void> {
    const { sandboxes, commands, remotes } = this.#backends;
    await Promise.all([
      sandboxes.hibernateSession(session),
      commands.releaseSession(session),
      remotes.releaseSession(session),
    ]);
  }

  /** The server stops. Resolves with how many workspaces were not saved. */
  hibernateAll(): Promise<{ hibernated: number; failed: number }> {
    return this.#backends.sandboxes.hibernateAll();
  }

  /** The thread ends: nothing may keep it alive. */
  async disconnect(): Promise<void> {
    await Promise.all(this.#all().map((backend) => backend.disconnect()));
  }

  #all(): ServerBackend[] {
    const { sandboxes, commands, remotes } = this.#backends;
    return [sandboxes, commands, remotes];
  }

  #backendOf(name: string): ServerBackend {
    const server = this.#config.mcpServers[name];
    if (!server) throw new FairleadError('ERR_MCP', `the configuration has no MCP server ${name}`);
    if (isImageServer(server)) return this.#backends.sandboxes;
    return isCommandServer(server) ? this.#backends.commands : this.#backends.remotes;
  }
}
