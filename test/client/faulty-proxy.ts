/** A TCP proxy that breaks connections as networks do: each connection has one fault, at a byte of what is said. Runs in tests. */
import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * cut: both sides end there. reset: by an RST. half-close: the client is told that nothing more comes. delay: nothing moves for a while.
 * lose: what this direction says from there on is lost, then both sides end. stall: nothing arrives any more, and nobody ends.
 * refuse: the connection is not taken. kill: the server is killed, and comes back.
 */
export const FAULT_KINDS = ['cut', 'reset', 'half-close', 'delay', 'lose', 'stall', 'refuse', 'kill'] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface Fault {
  kind: FaultKind;
  /** `down`: what the server says. */
  direction: 'up' | 'down';
  /** The byte of this connection and direction before which it happens. */
  at: number;
  ms: number;
}

export interface FaultyProxyOptions {
  /** A loopback address of its own: the server takes no Host with another port than its own. */
  host: string;
  /** The server's at 127.0.0.1, and the proxy's too. */
  port: number;
  faults: readonly Fault[];
  kill: () => void;
}

export class FaultyProxy {
  readonly #options: FaultyProxyOptions;
  readonly #faults: Fault[];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #timers = new Set<NodeJS.Timeout>();
  /** What has happened. */
  readonly fired: Fault[] = [];

  constructor(options: FaultyProxyOptions) {
    this.#options = options;
    this.#faults = [...options.faults];
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#options.port, this.#options.host, resolve));
  }

  get url(): string {
    return `http://${this.#options.host}:${this.#options.port}`;
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    this.#own(client);
    const fault = this.#faults.shift();
    if (fault?.kind === 'refuse') {
      this.fired.push(fault);
      client.resetAndDestroy();
      return;
    }
    const server = connect({ port: this.#options.port, host: '127.0.0.1', allowHalfOpen: true });
    this.#own(server);
    const pair = new Pair(client, server, fault, {
      fire: (fired) => this.fired.push(fired),
      kill: this.#options.kill,
      later: (work, ms) => this.#later(work, ms),
    });
    pair.start();
  }

  #own(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined); // the other side's end is the answer to it
    socket.on('close', () => this.#sockets.delete(socket));
  }

  #later(work: () => void, ms: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, ms);
    this.#timers.add(timer);
  }
}

interface Means {
  fire: (fault: Fault) => void;
  kill: () => void;
  later: (work: () => void, ms: number) => void;
}

class Pair {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #means: Means;
  #fault: Fault | undefined;
  /** Directions whose bytes are swallowed. */
  readonly #lost = new Set<'up' | 'down'>();

  constructor(client: Socket, server: Socket, fault: Fault | undefined, means: Means) {
    this.#client = client;
    this.#server = server;
    this.#fault = fault;
    this.#means = means;
  }

  start(): void {
    this.#pump('up', this.#client, this.#server);
    this.#pump('down', this.#server, this.#client);
    this.#client.on('close', () => this.#server.destroy());
    this.#server.on('close', () => {
      if (!this.#lost.has('down')) this.#client.destroy();
    });
  }

  #pump(direction: 'up' | 'down', from: Socket, to: Socket): void {
    let passed = 0;
    const pass = (bytes: Buffer): void => {
      if (!this.#lost.has(direction) && bytes.length > 0 && !to.destroyed && !to.writableEnded) to.write(bytes);
    };
    from.on('data', (bytes: Buffer) => {
      const fault = this.#fault;
      if (fault?.direction !== direction || passed + bytes.length < fault.at) {
        passed += bytes.length;
        pass(bytes);
        return;
      }
      this.#fault = undefined;
      const before = bytes.subarray(0, fault.at - passed);
      const rest = bytes.subarray(before.length);
      passed += bytes.length;
      pass(before);
      this.#break(fault, from, () => pass(rest));
    });
    from.on('end', () => {
      if (!this.#lost.has(direction)) to.end();
    });
  }

  #break(fault: Fault, from: Socket, goOn: () => void): void {
    this.#means.fire(fault);
    const { kind, direction, ms } = fault;
    switch (kind) {
      case 'cut':
        return this.#destroy();
      case 'reset':
        this.#client.resetAndDestroy();
        this.#server.resetAndDestroy();
        return;
      case 'half-close':
        goOn();
        this.#client.end();
        return this.#means.later(() => this.#destroy(), ms);
      case 'delay':
        from.pause();
        return this.#means.later(() => {
          goOn();
          from.resume();
        }, ms);
      case 'lose':
        this.#lost.add(direction);
        return this.#means.later(() => this.#destroy(), ms);
      case 'stall':
        this.#lost.add('up').add('down');
        return undefined;
      case 'kill':
        goOn();
        return this.#means.kill();
      case 'refuse':
        return this.#destroy();
    }
  }

  #destroy(): void {
    this.#client.destroy();
    this.#server.destroy();
  }
}
