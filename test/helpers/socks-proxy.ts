/** A SOCKS5 proxy (RFC 1928) without a login, which resolves names by its own table. Runs in tests. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { Test } from 'tap';

/** `hosts`: `name:port` → the port on this machine that stands behind it. Resolves with the URL. */
export async function startSocksProxy(t: Test, hosts: Record<string, number>): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('data', () => {
      socket.write(Buffer.from([5, 0]));
      socket.once('data', (asked) => {
        const length = asked[4]!;
        const name = asked.subarray(5, 5 + length).toString();
        const port = hosts[`${name}:${asked.readUInt16BE(5 + length)}`];
        if (port === undefined) return void socket.end(Buffer.from([5, 4, 0, 1, 0, 0, 0, 0, 0, 0]));
        const onward = connect(port, '127.0.0.1', () => {
          socket.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
          socket.pipe(onward).pipe(socket);
        });
        onward.on('error', () => socket.destroy());
        sockets.add(onward);
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `socks5h://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
