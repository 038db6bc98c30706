/** The head of a request as uWebSockets shows it. Main thread. */
import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import type { ClientAddresses } from '../front/client-address.js';
import { headProblem } from '../front/head.js';
import type { RequestHead } from '../front/http.js';
import { proxyHeader } from '../front/proxied.js';
import { requestIdOf } from '../front/request-id.js';
import { isMcpPath, mcpHeaders } from '../front/routes/mcp-endpoint.js';
import type { Strangers } from '../front/strangers.js';

/** Copies what uWebSockets takes back when its handler returns. The socket has sent a request, so it is no stranger's that waits. */
export function readHead(
  res: HttpResponse,
  req: HttpRequest,
  { addresses, strangers }: { addresses: ClientAddresses; strangers: Strangers },
): RequestHead {
  const peer = new Uint8Array(res.getRemoteAddress());
  if (!addresses.isProxy(peer)) strangers.settled(addresses.keyOf(peer, ''));
  const path = req.getUrl();
  const malformed = headProblem((visit) => req.forEach(visit));
  return {
    method: req.getMethod().toUpperCase(),
    path,
    query: req.getQuery(),
    host: req.getHeader('host'),
    origin: req.getHeader('origin'),
    authorization: req.getHeader('authorization'),
    accept: req.getHeader('accept'),
    acceptEncoding: req.getHeader('accept-encoding'),
    ifNoneMatch: req.getHeader('if-none-match'),
    contentType: req.getHeader('content-type'),
    contentLength: req.getHeader('content-length'),
    chunked: req.getHeader('transfer-encoding') !== '',
    lastEventId: req.getHeader('last-event-id'),
    cookie: req.getHeader('cookie'),
    ...(path.endsWith('/files/content') && {
      conditions: {
        range: req.getHeader('range'),
        ifRange: req.getHeader('if-range'),
        ifMatch: req.getHeader('if-match'),
        ifNoneMatch: req.getHeader('if-none-match'),
      },
    }),
    mcp: isMcpPath(path) ? mcpHeaders((visit) => req.forEach(visit)) : {},
    fetchSite: req.getHeader('sec-fetch-site'),
    fetchMode: req.getHeader('sec-fetch-mode'),
    fetchDest: req.getHeader('sec-fetch-dest'),
    proxiedBy: proxyHeader((visit) => req.forEach(visit)),
    address: addresses.keyOf(peer, forwardedFor(req)),
    requestId: requestIdOf(req.getHeader('x-request-id')),
    ...(malformed === undefined ? {} : { malformed }),
  };
}

/** All headers of that name, in their order. */
function forwardedFor(req: HttpRequest): string {
  const values: string[] = [];
  req.forEach((name, value) => {
    if (name === 'x-forwarded-for') values.push(value);
  });
  return values.join(',');
}
