/** Lists and tests `url` and `command` servers. Agent threads. */
import type { ProtocolEra } from '@modelcontextprotocol/client';
import { isCommandServer, isImageServer } from '../../../../src/shared/config-mcp.js';
import type { Config } from '../../../../src/shared/config.js';
import { errorToData, FairleadError, isFairleadError } from '../../../../src/shared/errors.js';
import { noSuchServer, seesServer } from '../../../../src/shared/kept-for-groups.js';
import { NO_USER } from '../host/no-user.js';
import { listingSession } from '../host/shared-sessions.js';
import type { Caller, ServerAsks, ServerConnection, ServerConnections } from '../host/server-connection.js';
import { listServerTools, type ListOptions } from './list-all.js';
import { NOBODY } from './nobody.js';
import type { ListedTools } from './server-lister.js';
import type { HealthBook } from './health-book.js';

export interface ServerListsOptions {
  config: Config;
  /** This thread's. */
  index: number;
  servers: ServerConnections;
  health: HealthBook;
}

export class ServerLists {
  readonly #options: ServerListsOptions;

  constructor(options: ServerListsOptions) {
    this.#options = options;
  }

  /** `asks`: the user may be asked to log in; else ERR_MCP_LOGIN. Errors of the server. */
  async list(
    caller: Caller,
    server: string,
    { signal, asks = NOBODY }: { signal: AbortSignal; asks?: ServerAsks },
  ): Promise<ListedTools> {
    const options = { signal, asks, timeoutMs: this.timeoutMs };
    return this.#with(caller, server, async (connect) => {
      const connection = await loggedIn(connect, options);
      const listed = await listServerTools(connection, options);
      const { resources, prompts } = connection.capabilities;
      return {
        ...listed,
        // Each list starts a process, so it is repeated only when something goes wrong.
        ...(this.#startsProcess(server) ? { ttlMs: Infinity } : {}),
        resources: resources !== undefined,
        prompts: prompts !== undefined,
        era: connection.era,
      };
    });
  }

  /** Makes one request now. ERR_BAD_FRAME for a server in a sandbox, as none is started for a test; errors of the server. */
  async test(caller: Caller, server: string): Promise<{ latencyMs: number; era: ProtocolEra }> {
    const { timeoutMs } = this;
    const { mcpServers } = this.#options.config;
    const settings = mcpServers[server];
    if (!settings || !seesServer(mcpServers, server, caller.who)) throw noSuchServer(server);
    if (isImageServer(settings) || (isCommandServer(settings) && settings.sandbox !== undefined)) {
      throw new FairleadError('ERR_BAD_FRAME', `${server} runs in a sandbox, and none is started to test it`);
    }
    return this.#with(caller, server, async (connect) => {
      const connection = await connect();
      const startedAt = performance.now();
      const signal = AbortSignal.timeout(timeoutMs);
      await connection.request({ method: cheapest(connection), params: {}, signal, asks: NOBODY, timeoutMs });
      return { latencyMs: Math.round(performance.now() - startedAt), era: connection.era };
    });
  }

  /** The caller of lists for all users. */
  get nobody(): Caller {
    return { session: listingSession(this.#options.index), user: NO_USER };
  }

  get timeoutMs(): number {
    return this.#options.config.mcp.requestTimeoutMs;
  }

  /** True when a list starts a process of its own. */
  #startsProcess(server: string): boolean {
    const settings = this.#options.config.mcpServers[server];
    return settings !== undefined && isCommandServer(settings) && settings.scope === 'session';
  }

  async #with<T extends { era: ProtocolEra }>(
    { session: name, ...asker }: Caller,
    server: string,
    work: (connect: () => Promise<ServerConnection>) => Promise<T>,
  ): Promise<T> {
    const { servers, health } = this.#options;
    const isOwn = this.#startsProcess(server);
    // A session id of its own, released below.
    const session = isOwn ? `${name}_${server}` : name;
    try {
      const result = await work(() => servers.connection({ ...asker, session }, server));
      health.noteGood(server, result.era);
      return result;
    } catch (error) {
      const data = errorToData(error);
      // A server that wants a login is healthy.
      if (data.code !== 'ERR_MCP_LOGIN' && data.code !== 'ERR_CANCELLED')
        health.noteBad(server, error, asker.user === NO_USER);
      throw error;
    } finally {
      if (isOwn) await servers.releaseSession(session);
    }
  }
}

/** Where a login comes first, the server's capabilities are unknown until a request has led to it. ERR_MCP_LOGIN. */
async function loggedIn(connect: () => Promise<ServerConnection>, options: ListOptions): Promise<ServerConnection> {
  const connection = await connect();
  if (Object.keys(connection.capabilities).length > 0) return connection;
  try {
    await connection.request({ ...options, method: 'tools/list', params: {} });
  } catch (error) {
    if (!isFairleadError(error, 'ERR_MCP')) throw error; // it is no server that wants a login
  }
  return connect();
}

/** The modern protocol has no `ping`. */
function cheapest({ capabilities, era }: ServerConnection): string {
  if (era === 'legacy') return 'ping';
  if (capabilities['tools'] !== undefined) return 'tools/list';
  return capabilities['prompts'] === undefined ? 'resources/list' : 'prompts/list';
}
