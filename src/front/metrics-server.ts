/** The listener of `metrics.listen`: answers GET /metrics and nothing else, with Node's server, since few ask seldom. Main thread. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { errorToData, FairleadError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import type { Hosts } from './hosts.js';
import { listenError } from './listen.js';
import type { MetricsAccess } from './metrics-access.js';
import { toProblem } from './problem.js';
import { RefusalLog } from './refusal-log.js';

/** Of a scraper and who looks after it. */
const MAX_CONNECTIONS = 32;
const REQUEST_MS = 10_000;

export interface MetricsServer {
  readonly url: string;
  close(): Promise<void>;
}

export interface MetricsServerOptions {
  at: { host: string; port: number };
  access: MetricsAccess;
  hosts: Hosts;
  read: () => Promise<string>;
  log: Logger;
}

/** ERR_START when the address cannot be listened on. */
export async function startMetricsServer({
  at,
  access,
  hosts,
  read,
  log,
}: MetricsServerOptions): Promise<MetricsServer> {
  const refusals = new RefusalLog(log);
  const server = createServer({ requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS }, (request, response) => {
    answer(request).then(
      (text) => send(response, 200, 'text/plain; version=0.0.4; charset=utf-8', text),
      (thrown: unknown) => {
        const error = errorToData(thrown);
        if (error.code === 'ERR_INTERNAL') log.error({ err: error.stack }, 'the metrics could not be read');
        if (thrown instanceof FairleadError && (request.headers.authorization ?? '') !== '') {
          const address = request.socket.remoteAddress ?? '';
          if (error.code === 'ERR_UNAUTHORIZED') refusals.note(thrown, { address, path: '/metrics' });
        }
        const { status, body } = toProblem(error);
        if (status === 401) response.setHeader('WWW-Authenticate', 'Bearer');
        send(response, status, 'application/problem+json', body);
      },
    );
  });
  server.maxConnections = MAX_CONNECTIONS;

  async function answer({ method, url = '', headers }: IncomingMessage): Promise<string> {
    const refused = hosts.refusal(headers.host ?? '');
    if (refused) throw refused;
    if (url.split('?', 1)[0] !== '/metrics') throw new FairleadError('ERR_NOT_FOUND', 'no such resource');
    if (method !== 'GET' && method !== 'HEAD') {
      throw new FairleadError('ERR_METHOD_NOT_ALLOWED', 'this resource takes GET, HEAD');
    }
    if (!access.allows(headers.authorization ?? '')) {
      throw new FairleadError('ERR_UNAUTHORIZED', 'no or bad credentials');
    }
    return await read();
  }

  server.listen({ ...at, exclusive: true });
  try {
    await once(server, 'listening');
  } catch {
    throw await listenError(at.host, at.port); // it finds the reason again, and says it in words
  }
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${at.host.includes(':') ? `[${at.host}]` : at.host}:${port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    'Content-Type': type,
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    // The rest of a request's body would be taken for the next request's head.
    Connection: 'close',
  });
  response.end(body);
}
