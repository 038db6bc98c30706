/**
 * Loads the code for `url` servers only when the configuration has one: it is half of what a thread would load, and would
 * slow each start. Agent threads.
 */
import type { AgentWorkerData } from '../contract/lifecycle.js';
import type { UserServer } from '../contract/mcp.js';
import { isUrlServer, serversOf } from '../../../src/shared/config-mcp.js';
import type { Config } from '../../../src/shared/config.js';
import { FairleadError } from '../../../src/shared/errors.js';
import type { OAuthPart, OAuthPartOptions } from './oauth/oauth-part.js';
import type { Remotes } from './remote/remotes.js';
import type { ServerBackend } from './host/server-connection.js';

export interface UrlPart {
  remotes: ServerBackend & Pick<Remotes, 'watch' | 'status'>;
  handlers: OAuthPart['handlers'];
  /** Drops what is cached of this login, which has changed. */
  forget(of: UserServer): void;
  close(): void;
}

export type CreateUrlPart = (options: OAuthPartOptions & Pick<AgentWorkerData, 'index' | 'slots'>) => UrlPart;

export async function loadUrlPart({ mcpServers }: Config): Promise<CreateUrlPart> {
  if (serversOf(mcpServers, isUrlServer).length === 0) return withoutUrlServers;
  return (await import('./url-part.js')).createUrlPart;
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
