/** A TCP server that takes connections and never answers: a daemon that hangs. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';

export interface SilentServer {
  /** For DOCKER_HOST. */
  readonly host: string;
  /** First lines of the requests that came. */
  readonly requests: string[];
  /** Resolves once so many requests have come whose first line matches. */
  received(pattern: RegExp, count: number): Promise<void>;
  close(): Promise<void>;
}

export async function startSilentServer(): Promise<SilentServer> {
  const sockets = new Set<Socket>();
  const requests: string[] = [];
  const checks = new Set<() => void>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined); // the client gives up: that is what the test is about
    socket.on('close', () => sockets.delete(socket));
    socket.once('data', (data) => {
      requests.push(data.toString('latin1').split('\r\n')[0] ?? '');
      for (const check of checks) check();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    received: (pattern, count) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (requests.filter((line) => pattern.test(line)).length < count) return;
          checks.delete(check);
          resolve();
        };
        checks.add(check);
        check();
      }),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
