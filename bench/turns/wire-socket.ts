/** A minimal WebSocket client: a thousand of them must not become what is measured. */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

const TEXT = 0x1;
const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;
/** A client must mask; a mask of zeros changes nothing. */
const NO_MASK = Buffer.alloc(4);
const HEAD_END = '\r\n\r\n';

export interface WireHandlers {
  onText: (text: string) => void;
  /** Once, however it ends; not after `close`. */
  onEnd: (why: string) => void;
}

export class WireSocket {
  readonly #socket: Socket;
  readonly #handlers: WireHandlers;
  #bytes: Buffer = Buffer.alloc(0);
  #open = false;
  #over = false;
  #onOpen: (() => void) | undefined;

  private constructor(url: URL, handlers: WireHandlers, onOpen: () => void) {
    this.#handlers = handlers;
    this.#onOpen = onOpen;
    this.#socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true });
    this.#socket.on('data', (data) => this.#take(data));
    this.#socket.on('error', (error) => this.#end(error.message));
    this.#socket.on('close', () => this.#end('the socket closed'));
    this.#socket.write(
      [
        `GET ${url.pathname}${url.search} HTTP/1.1`,
        `Host: ${url.host}`,
        'Upgrade: websocket',
        'Connection: Upgrade',
        `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Protocol: fairlead.v1',
      ].join('\r\n') + HEAD_END,
    );
  }

  /** Resolves when it is open; rejects with why it is not. */
  static open(url: string, handlers: WireHandlers): Promise<WireSocket> {
    return new Promise((resolve, reject) => {
      const onEnd = (why: string): void => {
        reject(new Error(why));
        handlers.onEnd(why);
      };
      const socket: WireSocket = new WireSocket(new URL(url), { onText: handlers.onText, onEnd }, () =>
        resolve(socket),
      );
    });
  }

  send(text: string): void {
    this.#frame(TEXT, Buffer.from(text));
  }

  close(): void {
    this.#over = true;
    this.#socket.destroy();
  }

  #take(data: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? data : Buffer.concat([this.#bytes, data]);
    if (!this.#open && !this.#readHead()) return;
    while (!this.#over && this.#readFrame());
  }

  #readHead(): boolean {
    const end = this.#bytes.indexOf(HEAD_END);
    if (end < 0) return false;
    const [status = ''] = this.#bytes.toString('latin1', 0, end).split('\r\n', 1);
    if (!status.startsWith('HTTP/1.1 101')) {
      this.#end(status);
      return false;
    }
    this.#open = true;
    this.#bytes = this.#bytes.subarray(end + HEAD_END.length);
    this.#onOpen?.();
    return true;
  }

  /** False when the next frame is incomplete. Servers do not mask, and Fairlead does not fragment. */
  #readFrame(): boolean {
    const bytes = this.#bytes;
    if (bytes.length < 2) return false;
    const short = bytes.readUInt8(1);
    const head = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (bytes.length < head) return false;
    const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
    if (bytes.length < head + length) return false;
    const payload = bytes.subarray(head, head + length);
    this.#bytes = bytes.subarray(head + length);
    this.#handle(bytes.readUInt8(0) & 0x0f, payload);
    return true;
  }

  #handle(opcode: number, payload: Buffer): void {
    if (opcode === TEXT) this.#handlers.onText(payload.toString());
    else if (opcode === PING) this.#frame(PONG, payload);
    else if (opcode === CLOSE) {
      const code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      this.#end(`closed with ${code} ${payload.toString('utf8', 2)}`.trim());
    }
  }

  #frame(opcode: number, payload: Buffer): void {
    if (this.#over) return;
    const { length } = payload;
    const head = Buffer.alloc(length < 126 ? 2 : 4);
    head.writeUInt8(0x80 | opcode, 0);
    head.writeUInt8(0x80 | (length < 126 ? length : 126), 1);
    if (length >= 126) head.writeUInt16BE(length, 2); // no frame here is longer
    this.#socket.write(Buffer.concat([head, NO_MASK, payload]));
  }

  #end(why: string): void {
    if (this.#over) return;
    this.close();
    this.#handlers.onEnd(why);
  }
}
