/** A small server of the wire contract for the tests of clients: keeps each session's log, replays it, records what arrives. */
import { createHash, randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import type { ClientFrame, DurableEvent, Pending, StreamingEvent, TranscriptEntry } from '../../src/shared/protocol.js';

type Numbered = DurableEvent & { seq: number };
type Message = Extract<ClientFrame, { type: 'message' }>;

export interface Attach {
  session: string | null;
  after: string | null;
  model: string | null;
  authorization: string | undefined;
}

export interface Received {
  session: Session;
  frame: ClientFrame;
}

export class Session {
  readonly id = randomBytes(16).toString('base64url');
  readonly log: Numbered[] = [];
  readonly sockets = new Set<WebSocket>();
  readonly transcript: TranscriptEntry[] = [];
  readonly accepted = new Map<string, number>();
  pending: Pending[] = [];
  turns = 0;
  #seq = 0;

  get seq(): number {
    return this.#seq;
  }

  /** Writes to the log and sends. */
  add(event: DurableEvent): void {
    this.#seq += 1;
    const numbered = { ...event, seq: this.#seq };
    this.log.push(numbered);
    this.sendRaw(numbered);
  }

  stream(event: StreamingEvent): void {
    this.sendRaw(event);
  }

  sendRaw(value: unknown): void {
    for (const socket of this.sockets) socket.send(JSON.stringify(value));
  }

  end(turn: number, rest: Partial<Extract<DurableEvent, { type: 'turn:end' }>> = {}): void {
    const usage = { inputTokens: 10, outputTokens: 5, cacheReadTokens: 0, cacheWriteTokens: 0 };
    this.add({ type: 'turn:end', turn, stopReason: 'end_turn', usage, ms: 12, model: 'stand-in', ...rest });
  }
}

export interface ServerOptions {
  /** Runs a message that was accepted as `turn`; without it the text is echoed. */
  onMessage?: (session: Session, turn: number, text: string) => void;
  /** Every frame but `message`. */
  onFrame?: (session: Session, frame: ClientFrame) => void;
  token?: string;
  maxFrameBytes?: number;
  /** How long a credential lasts. */
  expiresInMs?: number;
}

export class ProtocolServer extends EventEmitter<{ attach: [Attach]; frame: [Received]; detach: [code: number] }> {
  readonly sessions = new Map<string, Session>();
  readonly attaches: Attach[] = [];
  readonly frames: ClientFrame[] = [];
  /** Closes every new socket with this code instead of serving it. */
  refuseWith: number | undefined;
  /** Takes this many messages without accepting them, as a server that dies in between. */
  swallow = 0;
  readonly #options: ServerOptions;
  readonly #http = createServer((request, response) => this.#get(request, response));
  readonly #sockets = new WebSocketServer({ server: this.#http, path: '/v1/ws' });

  constructor(options: ServerOptions = {}) {
    super();
    this.#options = options;
    this.#sockets.on('connection', (socket, request) => this.#attach(socket, request));
  }

  async listen(): Promise<void> {
    this.#http.listen(0, '127.0.0.1');
    await once(this.#http, 'listening');
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  get ws(): string {
    return `${this.url.replace('http', 'ws')}/v1/ws`;
  }

  /** Cuts every connection without a close frame. */
  cut(): void {
    for (const socket of this.#sockets.clients) socket.terminate();
  }

  async close(): Promise<void> {
    this.cut();
    this.#http.closeAllConnections();
    await new Promise((resolve) => {
      this.#http.close(resolve);
    });
  }

  #attach(socket: WebSocket, request: IncomingMessage): void {
    const { searchParams } = new URL(request.url ?? '/', this.url);
    const attach: Attach = {
      session: searchParams.get('session'),
      after: searchParams.get('after'),
      model: searchParams.get('model'),
      authorization: request.headers.authorization,
    };
    this.attaches.push(attach);
    socket.on('close', (code) => this.emit('detach', code));
    const refuse = this.refuseWith ?? this.#judge(attach);
    if (refuse !== undefined) {
      socket.close(refuse);
      this.emit('attach', attach);
      return;
    }
    const session = (attach.session === null ? undefined : this.sessions.get(attach.session)) ?? new Session();
    this.sessions.set(session.id, session);
    socket.on('message', (data: Buffer) => this.#frame(session, socket, JSON.parse(data.toString()) as ClientFrame));
    socket.on('close', () => session.sockets.delete(socket));
    this.#ready(socket, session, attach);
    session.sockets.add(socket);
    this.emit('attach', attach);
  }

  #judge({ session, authorization }: Attach): number | undefined {
    const { token } = this.#options;
    if (token !== undefined && authorization !== `Bearer ${token}`) return 4401;
    return session !== null && !this.sessions.has(session) ? 4404 : undefined;
  }

  #ready(socket: WebSocket, session: Session, { after, session: asked, model }: Attach): void {
    const from = after === null ? session.seq : Number(after);
    const gap = (session.log[0]?.seq ?? session.seq + 1) > from + 1;
    const ready = {
      type: 'session:ready',
      session: session.id,
      seq: session.seq,
      resumed: asked !== null,
      model: model ?? 'stand-in',
      pending: session.pending,
      limits: { maxFrameBytes: this.#options.maxFrameBytes ?? 1_048_576, maxInFlight: 5 },
      ...(this.#options.expiresInMs === undefined ? {} : { expiresAt: Date.now() + this.#options.expiresInMs }),
      ...(gap ? { reset: true, transcript: session.transcript } : {}),
    };
    socket.send(JSON.stringify(ready));
    for (const event of session.log) if (!gap && event.seq > from) socket.send(JSON.stringify(event));
  }

  #frame(session: Session, socket: WebSocket, frame: ClientFrame): void {
    this.frames.push(frame);
    if (frame.type === 'message') this.#message(session, socket, frame);
    else this.#options.onFrame?.(session, frame);
    this.emit('frame', { session, frame });
  }

  #message(session: Session, socket: WebSocket, { id, text = '' }: Message): void {
    if (this.swallow > 0) {
      this.swallow -= 1;
      return;
    }
    const known = id === undefined ? undefined : session.accepted.get(id);
    if (known !== undefined) {
      const first = session.log.find((event) => event.type === 'message:accepted' && event.id === id);
      socket.send(JSON.stringify(first));
      return;
    }
    session.turns += 1;
    const turn = session.turns;
    if (id !== undefined) session.accepted.set(id, turn);
    session.transcript.push({ role: 'user', content: [{ type: 'text', text }] });
    session.add({ type: 'message:accepted', turn, queued: 0, ...(id === undefined ? {} : { id }) });
    session.add({ type: 'turn:start', turn });
    if (this.#options.onMessage !== undefined) this.#options.onMessage(session, turn, text);
    else answer(session, turn, `echo: ${text}`);
  }

  #get(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url ?? '/', this.url);
    const [, , , id, what] = pathname.split('/');
    const session = this.sessions.get(id ?? '');
    response.setHeader('content-type', 'application/json');
    if (pathname === '/v1/sessions') {
      const sessions = [...this.sessions.values()].map((item) => ({
        session: item.id,
        title: `title ${createHash('sha1').update(item.id).digest('hex').slice(0, 4)}`,
        lastActiveAt: Date.now(),
      }));
      response.end(JSON.stringify({ sessions }));
    } else if (what === 'history' && session !== undefined) {
      response.end(JSON.stringify({ transcript: session.transcript }));
    } else {
      response.statusCode = 404;
      response.end(JSON.stringify({ code: 'ERR_NOT_FOUND', title: 'No such resource' }));
    }
  }
}

/** Streams `text` as one block in two deltas, and ends the turn. */
export function answer(session: Session, turn: number, text: string): void {
  const half = Math.floor(text.length / 2);
  session.stream({ type: 'text:delta', turn, block: 0, offset: 0, text: text.slice(0, half) });
  session.stream({ type: 'text:delta', turn, block: 0, offset: half, text: text.slice(half) });
  session.add({ type: 'text', turn, block: 0, text });
  session.transcript.push({ role: 'assistant', content: [{ type: 'text', text }] });
  session.end(turn);
}

/** Asks for `workspace/run_command`; the answer is the test's to act on. */
export function askApproval(session: Session, turn: number, callId: string, place = { position: 1, total: 1 }): void {
  const call = { turn, callId, name: 'run_command', server: 'workspace', args: { command: 'ls -la' } };
  const asked = { ...call, ...place, expiresAt: Date.now() + 600_000 };
  session.pending.push({ kind: 'approval', ...asked });
  session.add({ type: 'tool:approval_required', ...asked });
}
