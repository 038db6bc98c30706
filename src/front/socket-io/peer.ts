/** One client of Socket.IO: a socket of the front, whatever carries it. Main thread. */
import { randomUUID } from 'node:crypto';
import type { Socket as IoSocket } from 'socket.io';
import { CLOSE } from '../../shared/protocol.js';
import type { Connection } from '../connection.js';
import type { RequestHead } from '../http.js';
import { checkJson } from '../parse-json.js';
import { errorOfClose } from '../problem.js';
import { DROPPED, type Socket } from '../socket.js';
import { toEmitted, toFrame, type Emitted } from './events.js';

/** What carries it: long polling first, a WebSocket later or from the beginning. */
export type Carrier = IoSocket['conn'];

/** A packet of Engine.IO, which carries Socket.IO's. */
interface Packet {
  type: string;
  data?: unknown;
}

type Ack = (answer?: object) => void;

/** Socket.IO's packets by their first character. */
const CONNECT = '0';
const DISCONNECT = '1';
const EVENT = '2';
/** As much as a request's head may have: the credential is in it. */
const MAX_CONNECT = 20_000;
/** Of everything that is neither an event nor a connect: a heartbeat, a farewell. */
const MAX_OTHER = 256;
/** No more frames are unanswered at once. */
const MAX_ACKS = 64;

/** Why the session was not attached. `again`: the client had better come back. */
export class NotAttached extends Error {
  readonly again: boolean;
  readonly data: { code: string; close: number };

  constructor(close: number, reason: string) {
    super(reason);
    this.again = comesBack(close);
    this.data = { code: codeOf(close, reason), close };
  }
}

export class Peer implements Socket {
  readonly head: RequestHead;
  readonly #carrier: Carrier;
  readonly #maxUnsentBytes: number;
  #connection: Connection | undefined;
  #socket: IoSocket | undefined;
  #replays = false;
  /** Events from before the client was told that it is connected, and their bytes. */
  #held: Emitted[] = [];
  #heldBytes = 0;
  /** Bytes that wait for the carrier: a client that polls takes them with its next request. */
  #queued = 0;
  #waiter: { resolve: (session: string) => void; reject: (error: NotAttached) => void } | undefined;
  #end: NotAttached | undefined;
  #drains = false;
  /** It has sent its connect packet, which it may once. */
  #hasAsked = false;
  /** Messages whose sender wants to be told that they were accepted, by their id. */
  readonly #acks = new Map<string, Ack>();

  constructor(carrier: Carrier, head: RequestHead, maxUnsentBytes: number) {
    this.#carrier = carrier;
    this.head = head;
    this.#maxUnsentBytes = maxUnsentBytes;
    carrier.on('packet', (packet: Packet) => this.#judge(packet));
    carrier.on('flush', () => (this.#queued = 0));
    carrier.on('drain', () => this.drained());
    carrier.on('close', () => this.#over(new NotAttached(CLOSE.draining, 'the client has gone')));
  }

  /** '' until its credential is known. */
  get user(): string {
    return this.#connection?.user ?? '';
  }

  /** Resolves with the session's id when it is attached, before anything of it is sent. Rejects with NotAttached. */
  attach(connection: Connection, replays: boolean): Promise<string> {
    this.#connection = connection;
    this.#replays = replays;
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
      if (this.#end) reject(this.#end);
      else connection.opened(this);
    });
  }

  /** The client is told that it is connected. */
  join(socket: IoSocket): void {
    if (this.#end) return this.#dismiss(socket, this.#end);
    this.#socket = socket;
    socket.onAny((name: unknown, ...args: unknown[]) => this.#received(name, args));
    socket.on('disconnect', () => this.#carrier.close());
    const held = this.#held;
    this.#held = [];
    this.#queued += this.#heldBytes;
    this.#heldBytes = 0;
    for (const emitted of held) this.#emit(socket, emitted);
    return this.drained();
  }

  send(text: string): number {
    if (this.#end) return 1; // nobody is there: as a socket that has closed
    for (const emitted of toEmitted(text, this.#replays)) {
      if (this.#socket) {
        this.#queued += text.length;
        this.#emit(this.#socket, emitted);
        continue;
      }
      this.#held.push(emitted);
      this.#heldBytes += text.length;
      if (emitted.name === 'system:ready') this.#waiter?.resolve(String(emitted.data['session']));
    }
    return this.getBufferedAmount() > this.#maxUnsentBytes ? DROPPED : 1;
  }

  getBufferedAmount(): number {
    return this.#heldBytes + this.#queued + (this.#webSocket?.getBufferedAmount() ?? 0);
  }

  end(code: number, reason: string): void {
    const why = new NotAttached(code, reason);
    if (this.#end) return;
    if (!this.#over(why)) return;
    if (this.#socket) this.#dismiss(this.#socket, why);
  }

  close(): void {
    const webSocket = this.#webSocket;
    if (webSocket) webSocket.close();
    else this.#carrier.close(true);
    this.#over(new NotAttached(CLOSE.slowReader, 'this client does not read'));
  }

  cork(write: () => void): void {
    const webSocket = this.#webSocket;
    if (webSocket) webSocket.cork(write);
    else write();
  }

  /** The reader has taken something. Told later, since it may be told in the middle of a `send`. */
  drained(): void {
    if (this.#drains) return;
    this.#drains = true;
    queueMicrotask(() => {
      this.#drains = false;
      if (!this.#end) this.#connection?.drained();
    });
  }

  /** Undefined while it polls, and when it is closed. */
  get #webSocket(): Socket | undefined {
    if (this.#carrier.readyState !== 'open' || this.#carrier.transport.name !== 'websocket') return undefined;
    return (this.#carrier.transport as unknown as { socket?: Socket }).socket;
  }

  /** True the first time. */
  #over(why: NotAttached): boolean {
    if (this.#end) return false;
    this.#end = why;
    this.#held = [];
    this.#acks.clear();
    this.#connection?.closed();
    this.#waiter?.reject(why);
    return true;
  }

  /** A client whose connection is cut comes back by itself, one that is disconnected does not. */
  #dismiss(socket: IoSocket, { again, data, message }: NotAttached): void {
    socket.emit('agent:error', { ...data, message });
    if (again) this.#carrier.close();
    else socket.disconnect(true);
  }

  #emit(socket: IoSocket, { name, data, offset }: Emitted): void {
    if (offset === undefined) socket.emit(name, data);
    else socket.emit(name, data, offset);
    if (name === 'message:accepted') this.#acknowledge(data, { ok: true, turn: data['turn'] });
    if (name === 'agent:error') this.#acknowledge(data, { ok: false, code: data['code'], message: data['message'] });
  }

  #acknowledge({ id }: Record<string, unknown>, answer: object): void {
    const ack = typeof id === 'string' ? this.#acks.get(id) : undefined;
    if (!ack) return;
    this.#acks.delete(id as string);
    ack(answer);
  }

  #received(name: unknown, args: unknown[]): void {
    const last = args.at(-1);
    const ack = typeof last === 'function' ? (args.pop() as Ack) : undefined;
    const frame = toFrame(name, args);
    if (ack && frame['type'] === 'message') this.#keep((frame['id'] ??= randomUUID()), ack);
    else ack?.();
    this.#take(JSON.stringify(frame));
  }

  /** The oldest gives way: what came of its message stands in the events. */
  #keep(id: unknown, ack: Ack): void {
    if (typeof id !== 'string') return ack();
    const [oldest] = this.#acks.keys();
    if (oldest !== undefined && this.#acks.size >= MAX_ACKS) this.#acks.delete(oldest);
    this.#acks.set(id, ack);
    return undefined;
  }

  #take(text: string): void {
    this.#connection?.received(Buffer.from(text), false);
  }

  /** Looks at a packet before anything else does. One that is refused counts as nothing: Engine.IO ignores what is of type noop. */
  #judge(packet: Packet): void {
    const { type, data } = packet;
    const isText = typeof data === 'string';
    const kind = isText ? data[0] : undefined;
    if (type === 'message' && kind === EVENT && this.#socket) {
      if (!isTooMuch(data as string)) return;
      packet.type = 'noop';
      this.#take(data as string); // as a bad frame of the raw socket
      return;
    }
    if (isText ? this.#isExpected(type, data) : data === undefined && type !== 'message') return;
    packet.type = 'noop';
    this.end(CLOSE.notThisProtocol, 'only events with JSON are taken here');
    this.#carrier.close();
  }

  #isExpected(type: string, data: string): boolean {
    if (type !== 'message') return data.length <= MAX_OTHER;
    if (data.startsWith(DISCONNECT)) return data.length <= MAX_OTHER;
    if (!data.startsWith(CONNECT) || this.#hasAsked) return false;
    this.#hasAsked = true;
    return data.length <= MAX_CONNECT;
  }
}

function isTooMuch(text: string): boolean {
  try {
    checkJson(text);
    return false;
  } catch (error) {
    if (error instanceof SyntaxError) return true;
    throw error;
  }
}

function comesBack(close: number): boolean {
  return close === CLOSE.draining || close === CLOSE.overloaded || close === CLOSE.slowReader;
}

function codeOf(close: number, reason: string): string {
  return close === CLOSE.notThisProtocol ? 'ERR_BAD_FRAME' : errorOfClose(close, reason).code;
}
