/** A TCP proxy in front of an engine that cuts all its connections when it is told to. Runs in tests. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { Test } from 'tap';

export interface Cutter {
  port: number;
  /** How many connections were cut. */
  cut(): number;
  /** Connections are cut as they come. To a port that nobody listens on, a connection may be made with itself, and hold the port. */
  away: boolean;
}

export async function startCutter(t: Test, to: () => string): Promise<Cutter> {
  const open = new Set<Socket>();
  const server = createServer((near) => {
    if (cutter.away) return near.destroy();
    const { hostname, port } = new URL(to());
    const far = connect(Number(port), hostname);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        open.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
    return undefined;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cutter: Cutter = {
    port: (server.address() as AddressInfo).port,
    away: false,
    cut() {
      const count = open.size;
      for (const socket of open) socket.destroy();
      return count;
    },
  };
  t.teardown(() => {
    server.close();
    cutter.cut();
  });
  return cutter;
}
