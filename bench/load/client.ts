/** One raw WebSocket client: a socket, the upgrade by hand, frames counted and forgotten. Worker thread of the load. */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { FrameReader, type Tally } from './frames.js';

/** One buffer for all sockets of a thread: each read is handled before the next. */
const READ_BUFFER = Buffer.allocUnsafe(256 * 1024);
const HEAD_END = '\r\n\r\n';

/** The state that all clients of a group share. */
export interface ClientHost {
  readonly marks: readonly Buffer[];
  readonly longestMark: number;
  readonly tally: Tally;
  upgraded(client: Client): void;
  received(client: Client, bytes: number): void;
  gone(client: Client, why: string): void;
}

interface Target {
  host: string;
  port: number;
  path: string;
  token: string;
}

export class Client {
  readonly index: number;
  /** Frames sent by `pump` that have no answer yet. */
  unanswered = 0;
  /** Frames received before it is attached. */
  early = 0;
  startedAt = performance.now();
  lastReadAt = 0;
  readonly #host: ClientHost;
  readonly #socket: Socket;
  readonly #reader = new FrameReader();
  /** The answer to the upgrade so far; undefined once it is complete. */
  #head: string | undefined = '';
  #why = 'the connection ended';

  constructor(host: ClientHost, index: number, target: Target) {
    this.#host = host;
    this.index = index;
    this.#socket = connect({
      host: target.host,
      port: target.port,
      noDelay: true,
      onread: { buffer: READ_BUFFER, callback: (bytes) => this.#read(bytes) },
    });
    this.#socket.once('error', (error) => (this.#why = error.message));
    this.#socket.once('close', () => host.gone(this, this.#why));
    this.#socket.write(upgradeRequest(target));
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  reads(on: boolean): void {
    if (on) this.#socket.resume();
    else this.#socket.pause();
  }

  /** Closes with a reset, so that no port stays in TIME_WAIT. */
  cut(): void {
    if (this.#socket.connecting) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  #read(bytes: number): boolean {
    const chunk = READ_BUFFER.subarray(0, bytes);
    const frames = this.#head === undefined ? chunk : this.#upgrade(chunk);
    if (frames === undefined) return true;
    const { marks, longestMark, tally } = this.#host;
    tally.reset(marks.length);
    this.#reader.read(frames, marks, longestMark, tally);
    for (const pong of tally.pongs) this.#socket.write(pong);
    if (tally.closed !== undefined) this.#why = `closed with ${tally.closed}`;
    this.#host.received(this, bytes);
    return true;
  }

  /** The bytes after the head, once that is complete. Latin-1 keeps every byte. */
  #upgrade(chunk: Buffer): Buffer | undefined {
    const head = (this.#head ?? '') + chunk.toString('latin1');
    const end = head.indexOf(HEAD_END);
    if (end < 0) {
      this.#head = head;
      return undefined;
    }
    this.#head = undefined;
    if (!head.startsWith('HTTP/1.1 101')) {
      this.#why = `the upgrade was answered with ${head.slice(0, head.indexOf('\r\n'))}`;
      this.cut();
      return undefined;
    }
    this.#host.upgraded(this);
    return Buffer.from(head.slice(end + HEAD_END.length), 'latin1');
  }
}

function upgradeRequest({ host, port, path, token }: Target): string {
  const key = randomBytes(16).toString('base64');
  return [
    `GET ${path} HTTP/1.1`,
    `Host: ${host}:${port}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${key}`,
    ...(token === '' ? [] : [`Authorization: Bearer ${token}`]),
    HEAD_END,
  ]
    .join('\r\n')
    .slice(0, -2);
}
