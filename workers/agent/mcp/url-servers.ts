/**
 * Loads the code for `url` servers only when the configuration has one: it is half of what a thread would load, and would
 * slow each start. Agent threads.
 */
import type { AgentWorkerData } from '../contract/lifecycle.js';
import type { UserServer } from '../contract/mcp.js';
import { isUrlServer, serversOf } from '../../../src/shared/config-mcp.js';
import type { Config } from '../../../src/shared/config.js';
import { errorToData, FairleadError } from '../../../src/shared/errors.js';
import type { OAuthPart, OAuthPartOptions } from './oauth/oauth-part.js';
import type { Remotes } from './remote/remotes.js';
import type { Caller, ServerBackend, ServerConnection } from './host/server-connection.js';

export interface UrlPart {
  remotes: ServerBackend & Pick<Remotes, 'watch' | 'status' | 'applyConfig'>;
  handlers: OAuthPart['handlers'];
  /** Drops what is cached of this login, which has changed. */
  forget(of: UserServer): void;
  close(): void;
}

export type UrlPartOptions = OAuthPartOptions & Pick<AgentWorkerData, 'index' | 'slots'>;

export type CreateUrlPart = (options: UrlPartOptions) => UrlPart;

export async function loadUrlPart(config: Pick<Config, 'mcpServers'>): Promise<CreateUrlPart> {
  return hasUrlServers(config) ? (await import('./url-part.js')).createUrlPart : withoutUrlServers;
}

/** The `url` servers of a thread, whose first one a reload may bring. */
export class UrlServers implements UrlPart {
  readonly #options: UrlPartOptions;
  #part: UrlPart;
  /** The part once its code is loaded. */
  #ready: Promise<UrlPart>;
  #isLoaded: boolean;
  #closed = false;

  /** `create`: as `loadUrlPart` has given it for the configuration of the start. */
  constructor(options: UrlPartOptions, create: CreateUrlPart) {
    this.#options = options;
    this.#part = create(options);
    this.#ready = Promise.resolve(this.#part);
    this.#isLoaded = create !== withoutUrlServers;
  }

  readonly remotes: UrlPart['remotes'] = {
    get: (caller: Caller, server: string): Promise<ServerConnection> =>
      this.#isLoaded ? this.#part.remotes.get(caller, server) : this.#get(caller, server),
    watch: (caller, server, onChanged) => this.#part.remotes.watch(caller, server, onChanged),
    status: (server) => this.#part.remotes.status(server),
    applyConfig: () => this.applyConfig(),
    releaseSession: (session) => this.#part.remotes.releaseSession(session),
    disconnect: () => this.#part.remotes.disconnect(),
  };

  readonly handlers: UrlPart['handlers'] = {
    'mcp-token': async (request) => (await this.#ready).handlers['mcp-token'](request),
    'mcp-login': async (request) => (await this.#ready).handlers['mcp-login'](request),
    'mcp-login-end': async (request) => (await this.#ready).handlers['mcp-login-end'](request),
    'mcp-login-page': async (request) => (await this.#ready).handlers['mcp-login-page'](request),
    'mcp-login-begin': async (request) => (await this.#ready).handlers['mcp-login-begin'](request),
    'mcp-callback': async (request) => (await this.#ready).handlers['mcp-callback'](request),
    'mcp-logout': async (request) => (await this.#ready).handlers['mcp-logout'](request),
  };

  /** Who needs a server whose code is still being loaded waits for it. */
  applyConfig(): void {
    if (this.#isLoaded) return this.#part.remotes.applyConfig();
    if (hasUrlServers(this.#options.config)) this.#ready = this.#load();
  }

  forget(of: UserServer): void {
    this.#part.forget(of);
  }

  close(): void {
    this.#closed = true;
    this.#part.close();
  }

  async #get(caller: Caller, server: string): Promise<ServerConnection> {
    return (await this.#ready).remotes.get(caller, server);
  }

  /** Never rejects; a second reload meanwhile finds the same module. */
  async #load(): Promise<UrlPart> {
    const { log, config } = this.#options;
    try {
      const create = await loadUrlPart(config);
      if (this.#closed || this.#isLoaded || create === withoutUrlServers) return this.#part;
      this.#part = create(this.#options);
      this.#isLoaded = true;
    } catch (error) {
      log.error({ err: errorToData(error).message }, 'the code for url servers cannot be loaded');
    }
    return this.#part;
  }
}

function hasUrlServers({ mcpServers }: Pick<Config, 'mcpServers'>): boolean {
  return serversOf(mcpServers, isUrlServer).length > 0;
}

async function noUrlServer(): Promise<never> {
  throw new FairleadError('ERR_NOT_FOUND', 'the configuration has no `url` server');
}

/** Its requests are unreachable: the front knows the configuration too. */
export const withoutUrlServers: CreateUrlPart = () => {
  return {
    remotes: {
      get: noUrlServer,
      watch: () => undefined,
      status: () => undefined,
      applyConfig: () => undefined,
      releaseSession: async () => undefined,
      disconnect: async () => undefined,
    },
    handlers: {
      'mcp-token': noUrlServer,
      'mcp-login': noUrlServer,
      'mcp-login-end': noUrlServer,
      'mcp-login-page': noUrlServer,
      'mcp-login-begin': noUrlServer,
      'mcp-callback': noUrlServer,
      'mcp-logout': noUrlServer,
    },
    forget: () => undefined,
    close: () => undefined,
  };
};
