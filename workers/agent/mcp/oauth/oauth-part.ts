/** Authorization in one agent thread: tokens for its own requests, and the logins of its users. */
import type { FetchLike } from '@modelcontextprotocol/client';
import type { Config } from '../../../../src/shared/config.js';
import { liveView } from '../../../../src/shared/live-view.js';
import type { Logger } from '../../../../src/shared/log.js';
import type { Store } from '../../store/store.js';
import type { Channel, RequestHandlers } from '../../../../src/shared/threads/channel.js';
import type { AgentContract, AgentHostContract } from '../../contract/messages.js';
import { SafeHttp } from '../../http/http.js';
import type { LoginRequests } from '../../contract/logins.js';
import { Logins } from './logins.js';
import { OAuthSource } from './oauth-source.js';
import { FLOW_MS } from './records.js';
import { openSecrets } from './secrets.js';

/** A login takes several requests: metadata of two servers, a registration, a token. */
const LOGIN_TIMEOUT_MS = 100_000;
/** Connections to the authorization server of one MCP server; logins are rare. */
const MAX_CONNECTIONS = 4;
const FETCH_TIMEOUT_MS = 10_000;

export interface OAuthPartOptions {
  config: Config;
  threads: number;
  store: Store;
  channel: Channel<AgentContract, AgentHostContract>;
  log: Logger;
}

export interface OAuthPart {
  source: OAuthSource;
  handlers: RequestHandlers<{ requests: LoginRequests; notifications: Record<string, never> }>;
  close(): void;
}

export function createOAuthPart({ config, threads, store, channel, log }: OAuthPartOptions): OAuthPart {
  const https = new Map<string, SafeHttp>();
  const fetchFor = (server: string): FetchLike => {
    const known = https.get(server) ?? newHttp(server, config);
    https.set(server, known); // one for each server that the configuration has had
    return known.fetch;
  };
  const secrets = openSecrets(store, config.secretKeys);
  const logins = new Logins({ config, secrets, fetchFor, log, threads });
  const source = new OAuthSource({
    config,
    fetchFor,
    host: {
      token: (request) => channel.request('mcp-token', request, { timeoutMs: LOGIN_TIMEOUT_MS }),
      login: (request) => channel.request('mcp-login', request, { timeoutMs: LOGIN_TIMEOUT_MS }),
      loginEnd: (request) => channel.request('mcp-login-end', request, { timeoutMs: FLOW_MS + LOGIN_TIMEOUT_MS }),
    },
  });
  return {
    source,
    handlers: {
      'mcp-token': (request) => logins.token(request),
      'mcp-login': (request) => logins.login(request),
      'mcp-login-end': (request) => logins.loginEnd(request),
      'mcp-login-page': ({ ticket }) => logins.page(ticket),
      'mcp-login-begin': ({ ticket }) => logins.begin(ticket),
      'mcp-callback': (request) => logins.callback(request),
      'mcp-logout': (request) => logins.logout(request),
    },
    close() {
      logins.close();
      for (const http of https.values()) void http.close();
    },
  };
}

function newHttp(server: string, config: Config): SafeHttp {
  const { proxies } = config;
  return new SafeHttp({
    name: `the authorization server of ${server}`,
    rules: liveView(['allowLoopback', 'allowHosts'], () => config.mcp),
    proxies,
    maxConnections: MAX_CONNECTIONS,
    timeoutMs: FETCH_TIMEOUT_MS,
  });
}
