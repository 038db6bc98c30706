/** The alternative: Node's own HTTP server with nothing but the bytes of /healthz; a process of its own. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { liveWithParent, tell } from './child-life.js';
import { HEALTH_BODY, HEALTH_HEADERS } from './health-answer.js';
import type { Listening } from './messages.js';

liveWithParent();
const headers = HEALTH_HEADERS.flat();
const length = ['Content-Length', String(Buffer.byteLength(HEALTH_BODY))];

const server = createServer((_request, response) => {
  response.writeHead(200, [...headers, ...length]).end(HEALTH_BODY);
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  tell({ url: `http://127.0.0.1:${port}` } satisfies Listening);
});
