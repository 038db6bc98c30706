/** A TCP proxy in front of Redis that cuts a connection at a chosen moment: before a command arrives, or before its reply does. */
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import type { Test } from 'tap';

/** `before`: Redis never sees the command. `after`: Redis runs it, and the reply is lost. */
export type Cut = 'before' | 'after';

interface Armed {
  cut: Cut;
  text: string;
  done: () => void;
}

export class CutProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #armed: Armed | undefined;
  cuts = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** In front of the Redis at `port`; closed at the end of `t`. */
  static async start(t: Test, port: number): Promise<CutProxy> {
    const server = createServer();
    const proxy = new CutProxy(server);
    server.on('connection', (client) => proxy.#connect(client, port));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => proxy.#stop());
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Cuts the connection on which `text` is sent next. Resolves when it is cut. */
  arm(cut: Cut, text: string): Promise<void> {
    return new Promise((done) => (this.#armed = { cut, text, done }));
  }

  /** Cuts all connections now. */
  cutAll(): void {
    this.cuts += 1;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  #connect(client: Socket, port: number): void {
    const redis = connect(port, '127.0.0.1');
    let losing: Armed | undefined;
    const cut = (armed: Armed): void => {
      this.cuts += 1;
      client.resetAndDestroy();
      redis.destroy();
      armed.done();
    };
    for (const socket of [client, redis]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined); // a cut connection is what this is for
      socket.on('close', () => {
        this.#sockets.delete(socket);
        client.destroy();
        redis.destroy();
      });
    }
    client.on('data', (chunk) => {
      const armed = this.#armed;
      if (armed !== undefined && chunk.includes(armed.text)) {
        this.#armed = undefined;
        if (armed.cut === 'before') {
          cut(armed);
          return;
        }
        losing = armed;
      }
      redis.write(chunk);
    });
    // Redis has run the command; its replies from then on are lost.
    redis.on('data', (chunk) => (losing === undefined ? client.write(chunk) : cut(losing)));
  }

  async #stop(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }
}
