/** Finds out whether a `url` server is reachable, by the cheapest request that makes no session and needs no login. Agent threads. */
import type { UrlServerConfig } from '../../../../src/shared/config-mcp.js';
import { RemoteFailure } from '../../http/failures.js';
import type { SafeHttp } from '../../http/http.js';
import { McpFetch } from './mcp-fetch.js';

const PING = JSON.stringify({ jsonrpc: '2.0', id: 'fairlead-probe', method: 'ping' });
const HEADERS = { accept: 'application/json, text/event-stream', 'content-type': 'application/json' };
const FAILED = 500;

/** Any response below 500 will do: a refusal too comes from a reachable server. */
export async function probe(http: SafeHttp, server: string, { url, headers }: UrlServerConfig): Promise<void> {
  const asked = new McpFetch(server, http, new URL(url), headers);
  const { status } = await asked.fetch(url, { method: 'POST', headers: HEADERS, body: PING }, {});
  if (status < FAILED) return;
  throw new RemoteFailure('ERR_UNAVAILABLE', `${server} failed (HTTP ${status})`, { sent: true, outage: true });
}
