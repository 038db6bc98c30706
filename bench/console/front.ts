/** The server's door for the bench: pages and HTTP are the engine's, sockets are those of a scripted session. */
import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';

export class Front {
  readonly #engine: URL;
  readonly #sockets: URL;
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  private constructor(engine: string, sockets: string) {
    this.#engine = new URL(engine);
    this.#sockets = new URL(sockets);
    this.#server = createServer((question, answer) => this.#pass(question, answer));
    this.#server.on('upgrade', (question: IncomingMessage, socket: Socket) => this.#upgrade(question, socket));
  }

  static async start(engine: string, sockets: string): Promise<Front> {
    const front = new Front(engine, sockets);
    front.#server.listen(0, '127.0.0.1');
    await once(front.#server, 'listening');
    return front;
  }

  /** Chromium takes every name below localhost for this machine; the engine must have it in `listen.hosts`. */
  urlFor(host: string): string {
    return `http://${host}:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #pass(question: IncomingMessage, answer: ServerResponse): void {
    const { hostname, port } = this.#engine;
    const { method = 'GET', url = '/', headers } = question;
    const asked = request({ hostname, port, method, path: url, headers }, (answered) => {
      answer.writeHead(answered.statusCode ?? 502, answered.headers);
      answered.pipe(answer);
    });
    asked.on('error', () => answer.destroy());
    question.pipe(asked);
  }

  #upgrade({ method, url, rawHeaders }: IncomingMessage, near: Socket): void {
    const far = connect(Number(this.#sockets.port), this.#sockets.hostname);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#open.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        this.#open.delete(one);
        other.destroy();
      });
    }
    const lines = rawHeaders.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${rawHeaders[index + 1]}`] : []));
    far.write(`${method} ${url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
    near.pipe(far).pipe(near);
  }
}
