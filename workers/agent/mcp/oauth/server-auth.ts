/** The configured authorization of a `url` server. Pure; agent threads. */
import { isUrlServer, type UrlServerConfig } from '../../../../src/shared/config-mcp.js';
import type { Config } from '../../../../src/shared/config.js';

type AuthConfig = NonNullable<UrlServerConfig['auth']>;

export type ServerAuth = { url: string } & (
  { type: 'none' } | Extract<AuthConfig, { type: 'oauth' }> | Extract<AuthConfig, { type: 'client_credentials' }>
);

/** Undefined when there is no `url` server of that name. */
export function serverAuth(config: Pick<Config, 'mcpServers'>, name: string): ServerAuth | undefined {
  const server = Object.hasOwn(config.mcpServers, name) ? config.mcpServers[name] : undefined;
  return server && isUrlServer(server) ? authOf(server) : undefined;
}

export function authOf({ url, auth, headers }: UrlServerConfig): ServerAuth {
  if (auth) return { url, ...auth };
  const fixed = Object.keys(headers).some((header) => header.toLowerCase() === 'authorization');
  return { url, type: fixed ? 'none' : 'oauth' };
}

/** RFC 8414, section 3.3; one trailing slash is tolerated, as in the SDK. */
export function sameIssuer(a: string, b: string): boolean {
  return a === b || `${a}/` === b || a === `${b}/`;
}
