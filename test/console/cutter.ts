/** A TCP proxy in front of an engine that cuts or silences all its connections when it is told to. Runs in tests. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { Test } from 'tap';

export interface Cutter {
  port: number;
  /** How many connections were cut. */
  cut(): number;
  /** Nothing passes any more, the server's side ends, and the client is told nothing: a router has forgotten them. */
  hush(): number;
  /** Connections are cut as they come. To a port that nobody listens on, a connection may be made with itself, and hold the port. */
  away: boolean;
}

export async function startCutter(t: Test, to: () => string): Promise<Cutter> {
  const open = new Set<Socket>();
  /** Each client's connection, and what keeps the server's end from it. */
  const hushes = new Map<Socket, () => void>();
  const server = createServer((near) => {
    if (cutter.away) return near.destroy();
    const { hostname, port } = new URL(to());
    const far = connect(Number(port), hostname);
    let isHushed = false;
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      const end = (): void => {
        if (one === near || !isHushed) other.destroy();
      };
      open.add(one);
      one.on('error', end);
      one.on('close', () => {
        open.delete(one);
        hushes.delete(one);
        end();
      });
      one.pipe(other);
    }
    hushes.set(near, () => {
      isHushed = true;
      far.unpipe(near);
      far.destroy();
      near.unpipe(far);
      near.resume();
    });
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
    hush() {
      for (const hush of hushes.values()) hush();
      return hushes.size;
    },
  };
  t.teardown(() => {
    server.close();
    cutter.cut();
  });
  return cutter;
}
