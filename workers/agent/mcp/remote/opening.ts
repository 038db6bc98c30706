/** Opens one connection to a `url` server; detects its protocol and transport where they are unknown. Agent threads. */
import type { ClientCapabilities, DiscoverResult, PriorDiscovery } from '@modelcontextprotocol/client';
import { setTimeout as pause } from 'node:timers/promises';
import type { UrlServerConfig } from '../../../../src/shared/config-mcp.js';
import { FairleadError } from '../../../../src/shared/errors.js';
import { NEWER_PROTOCOL } from '../../../../src/shared/mcp-capabilities.js';
import type { Logger } from '../../../../src/shared/log.js';
import { HostClient, type HostClientOptions } from '../host/host-client.js';
import type { ServerCredentials } from './auth-source.js';
import {
  describeFailure,
  mayAnswerAnother,
  needsAuthorization,
  perhapsSse,
  remoteFailure,
} from '../../http/failures.js';
import type { SafeHttp } from '../../http/http.js';
import { HttpTransport, type HttpTransportOptions, type RemoteTransport } from './http-transport.js';
import { McpFetch } from './mcp-fetch.js';
import { SseTransport } from './sse-transport.js';

/** Of a request's time, the part after which a silent server is taken for one that does not know the newer protocol. */
const PROBE_SHARE = 1 / 3;
const LEGACY: KnownProtocol = { kind: 'legacy' };

/** A modern server keeps no state for a session; legacy and sse servers do. */
export type ProtocolKind = 'modern' | 'legacy' | 'sse';

export interface KnownProtocol {
  kind: ProtocolKind;
  /** Of a modern server: with it, connecting takes no request. */
  discover?: DiscoverResult;
}

export interface OpenedConnection extends KnownProtocol {
  client: HostClient;
  transport: RemoteTransport;
}

export interface OpeningOptions {
  server: string;
  config: UrlServerConfig;
  http: SafeHttp;
  capabilities: ClientCapabilities;
  timeoutMs: number;
  log: Logger;
}

/** Trusts `known`, which the caller drops when it proves wrong. Rejects with `describeFailure`'s error. */
export async function openConnection(
  options: OpeningOptions,
  credentials: ServerCredentials | undefined,
  known: KnownProtocol | undefined,
): Promise<OpenedConnection> {
  const { server, config, http } = options;
  const url = new URL(config.url);
  const transport: HttpTransportOptions = {
    url,
    fetch: new McpFetch(server, http, url, config.headers),
    ...(credentials ? { provider: credentials.provider } : {}),
  };
  if (config.type === 'sse' || known?.kind === 'sse')
    return connect(options, new SseTransport(transport), { kind: 'sse' });
  try {
    return await overHttp(options, transport, known);
  } catch (error) {
    if (config.type !== undefined || config.era === 'modern' || known || !perhapsSse(error)) throw error;
    try {
      return await connect(options, new SseTransport(transport), { kind: 'sse' });
    } catch {
      throw error; // failing at SSE too adds nothing
    }
  }
}

/** Whatever answer to the newer protocol's first request does not prove that protocol means the older one. */
async function overHttp(
  options: OpeningOptions,
  http: HttpTransportOptions,
  known: KnownProtocol | undefined,
): Promise<OpenedConnection> {
  const { era } = options.config;
  if (known || era === 'legacy') return connect(options, new HttpTransport(http), known ?? LEGACY);
  const transport = new HttpTransport(http);
  try {
    return await connect(options, transport, undefined);
  } catch (error) {
    if (era === 'modern' || transport.hasInitialized) throw error;
    const waitMs = remoteFailure(error)?.waitMs ?? 0;
    const isShort = waitMs > 0 && waitMs <= options.timeoutMs * PROBE_SHARE;
    if (!isShort && !mayAnswerAnother(error)) throw error;
    if (isShort) await pause(waitMs);
    return await connect(options, new HttpTransport(http), LEGACY).catch((older: unknown) => {
      // Of the two answers the one that wants a login says what to do.
      throw needsAuthorization(error) && !needsAuthorization(older) ? error : older;
    });
  }
}

async function connect(
  options: OpeningOptions,
  transport: RemoteTransport,
  known: KnownProtocol | undefined,
): Promise<OpenedConnection> {
  const { server, config, capabilities, timeoutMs, log } = options;
  const client = new HostClient({
    server,
    capabilities,
    log,
    describeFailure: (error) => transport.failure ?? describeFailure(server, error),
    ...(known ? {} : { versionNegotiation: negotiationOf(config.era, timeoutMs) }),
  });
  try {
    const prior = priorOf(known);
    await client.connect(transport, { timeout: timeoutMs, ...(prior ? { prior } : {}) });
  } catch (error) {
    await transport.close();
    throw transport.failure ?? describeFailure(server, error) ?? unknown(server, error);
  }
  const discover = client.client.getDiscoverResult();
  if (client.era === 'modern' && discover) return { client, transport, kind: 'modern', discover };
  return { client, transport, kind: known?.kind === 'sse' ? 'sse' : 'legacy' };
}

function negotiationOf(era: UrlServerConfig['era'], timeoutMs: number): HostClientOptions['versionNegotiation'] {
  if (era === 'modern') return { mode: { pin: NEWER_PROTOCOL }, probe: { timeoutMs } };
  return { mode: 'auto', probe: { timeoutMs: Math.ceil(timeoutMs * PROBE_SHARE) } };
}

function priorOf(known: KnownProtocol | undefined): PriorDiscovery | undefined {
  if (!known) return undefined;
  if (known.kind === 'modern') return known.discover ? { kind: 'modern', discover: known.discover } : undefined;
  return { kind: 'legacy' };
}

function unknown(server: string, cause: unknown): FairleadError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new FairleadError('ERR_MCP', `the handshake with ${server} failed: ${text.slice(0, 300)}`, { cause });
}
