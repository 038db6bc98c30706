/** An echo server in a process of its own, `echo-main.js KIND`: the least that a WebSocket server does. Prints its URL. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import uws, { type WebSocket as UwsSocket } from 'uWebSockets.js';
import { WebSocketServer, type RawData, type WebSocket } from 'ws';
import { delta, ECHO_KINDS, END, FAN, HELLO, type EchoKind } from './wire.js';

/** The fan-out waits while a reader has as many unsent bytes: beyond its limit the library drops frames. */
const HIGH_WATER = 64 * 1024;
const LISTEN_EXCLUSIVE_PORT = 1;
const HALF_AN_HOUR_MS = 1_800_000;

const kind = process.argv[2];
if (!isKind(kind)) throw new Error(`which server? one of ${ECHO_KINDS.join(', ')}`);
const port = await serve(kind);
console.log(JSON.stringify({ url: `http://127.0.0.1:${port}` }));
process.once('SIGTERM', () => process.exit(0));

function isKind(value: string | undefined): value is EchoKind {
  return (ECHO_KINDS as readonly (string | undefined)[]).includes(value);
}

function serve(which: EchoKind): Promise<number> {
  switch (which) {
    case 'uws':
      return serveUws((socket, message, isBinary) => socket.send(message, isBinary));
    case 'uws-json':
      return serveUws((socket, message) => {
        const frame = JSON.parse(Buffer.from(message).toString()) as { id?: string };
        socket.send(JSON.stringify({ type: 'pong', id: frame.id }));
      });
    case 'ws':
      return serveWs();
    case 'socket.io':
      return serveSocketIo();
  }
}

/** Sends one delta in each turn of the event loop, as they come from another thread; `isFull` says when to wait. */
function fanOut(deltas: number, isFull: () => boolean, send: (text: string) => void): void {
  let sent = 0;
  const step = (): void => {
    const full = isFull();
    if (!full) send(sent < deltas ? delta(sent * 6) : END);
    if (full || sent++ < deltas) setImmediate(step);
  };
  step();
}

function serveUws(
  answer: (socket: UwsSocket<unknown>, message: ArrayBuffer, isBinary: boolean) => void,
): Promise<number> {
  const app = uws.App();
  const listeners = new Set<UwsSocket<unknown>>();
  const limits = { maxPayloadLength: 1_048_576, maxBackpressure: 4_194_304, idleTimeout: 120 };
  app.ws('/echo', { ...limits, open: (socket) => void socket.send(HELLO), message: answer });
  app.ws('/fan', {
    ...limits,
    open: (socket) => {
      listeners.add(socket);
      socket.subscribe('all');
      socket.send(HELLO);
    },
    close: (socket) => void listeners.delete(socket),
    message: (_socket, message) => {
      const [reader] = listeners;
      const isFull = (): boolean =>
        reader !== undefined && listeners.has(reader) && reader.getBufferedAmount() > HIGH_WATER;
      fanOut(deltasOf(Buffer.from(message).toString()), isFull, (text) => void app.publish('all', text));
    },
  });
  const native = app as unknown as {
    listen(host: string, port: number, options: number, callback: (token: unknown) => void): void;
  };
  return new Promise((resolve, reject) => {
    native.listen('127.0.0.1', 0, LISTEN_EXCLUSIVE_PORT, (token) => {
      if (token === false) reject(new Error('cannot listen'));
      else resolve(uws.us_socket_local_port(token as Parameters<typeof uws.us_socket_local_port>[0]));
    });
  });
}

function serveWs(): Promise<number> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false, backlog: 4_096 });
  server.on('connection', (socket: WebSocket, request) => {
    socket.send(HELLO);
    if (request.url !== '/fan') {
      socket.on('message', (data, binary) => socket.send(data, { binary }));
      return;
    }
    socket.on('message', (data) =>
      fanOut(
        deltasOf(textOf(data)),
        () => socket.bufferedAmount > HIGH_WATER,
        (text) => {
          for (const client of server.clients) client.send(text);
        },
      ),
    );
  });
  return new Promise((resolve) => server.once('listening', () => resolve((server.address() as AddressInfo).port)));
}

function serveSocketIo(): Promise<number> {
  const http = createServer();
  const io = new Server(http, { transports: ['websocket'], serveClient: false, pingInterval: HALF_AN_HOUR_MS });
  io.on('connection', (socket) => {
    socket.on('message', (text: string) => socket.emit('message', text));
    socket.on('fan', (deltas: number) =>
      fanOut(
        deltas,
        () => !socket.conn.transport.writable,
        (text) => void io.emit(text === END ? 'turn:end' : 'text:delta', text),
      ),
    );
  });
  return new Promise((resolve) => {
    http.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => resolve((http.address() as AddressInfo).port));
  });
}

/** `ws` gives a Buffer unless told otherwise. */
function textOf(data: RawData): string {
  return Buffer.isBuffer(data) ? data.toString() : '';
}

function deltasOf(message: string): number {
  const found = FAN.exec(message)?.[1];
  if (found === undefined) throw new Error('this socket takes «fan N» only');
  return Number(found);
}
