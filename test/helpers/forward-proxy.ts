/** A forward proxy as companies have one: takes whole http requests and tunnels, resolves names by its own table. Runs in tests. */
import { createServer, request as send, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Test } from 'tap';

export interface ForwardProxyOptions {
  /** `name:port` → the port on this machine that stands behind it. */
  hosts: Record<string, number>;
  /** `user:password` that it wants. */
  login?: string;
}

export interface ForwardProxy {
  url: string;
  /** What was asked of it, in order: `GET http://…` or `CONNECT host:port`. */
  asked: string[];
}

export async function startForwardProxy(t: Test, { hosts, login }: ForwardProxyOptions): Promise<ForwardProxy> {
  const asked: string[] = [];
  const sockets = new Set<Duplex>();
  const wanted = login === undefined ? undefined : `Basic ${Buffer.from(login).toString('base64')}`;
  const mayPass = ({ headers }: IncomingMessage): boolean =>
    [undefined, headers['proxy-authorization']].includes(wanted);
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const url = new URL(request.url ?? '');
    const port = hosts[`${url.hostname}:${url.port || '80'}`];
    if (!mayPass(request) || port === undefined) {
      response.writeHead(port === undefined ? 502 : 407).end();
      return;
    }
    const { 'proxy-authorization': _, ...headers } = request.headers;
    const options = { host: '127.0.0.1', port, method: request.method, path: url.pathname + url.search, headers };
    const onward = send(options, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('connect', (request, socket, head) => {
    asked.push(`CONNECT ${request.url}`);
    const port = hosts[request.url ?? ''];
    if (!mayPass(request) || port === undefined) {
      socket.end(`HTTP/1.1 ${port === undefined ? 502 : 407} No\r\n\r\n`);
      return;
    }
    const onward = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.write(head);
      socket.pipe(onward).pipe(socket);
    });
    sockets.add(onward);
    for (const end of [socket, onward]) end.on('error', () => (socket.destroy(), onward.destroy()));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}
