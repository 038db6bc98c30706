/** A raw WebSocket client for tests: keeps every frame, checks seqs and offsets as they come, and waits with deadlines. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { PROTOCOL, type ClientFrame, type ServerEvent } from '../../src/shared/protocol.js';
import { TextAssembly } from './text-assembly.js';

export type { ServerEvent };
export type EventType = ServerEvent['type'];
export type EventOf<T extends EventType> = ServerEvent extends infer E
  ? E extends { type: infer U }
    ? T extends U
      ? E
      : never
    : never
  : never;

const DEFAULT_TIMEOUT_MS = 30_000;

export interface ConnectOptions {
  token?: string;
  session?: string;
  after?: number;
  model?: string;
  image?: string;
  /** `fairlead.v1` unless told. */
  subprotocols?: string[];
  /** The token goes as a second subprotocol, as a browser must send it. */
  browser?: boolean;
  origin?: string;
  headers?: Record<string, string>;
  timeoutMs?: number;
  /** The server may die in the middle of an answer: see TextAssembly. */
  crashes?: boolean;
}

export interface WaitOptions {
  timeoutMs?: number;
  /** The frame to look from: `cursor` (just after the last match; the default) or an index, 0 for all that ever came. */
  from?: 'cursor' | number;
}

export interface Approval {
  approved?: boolean;
  args?: Record<string, unknown>;
  reason?: string;
  remember?: 'session';
  id?: string;
}

/** The upgrade was answered by something else: 403, 426, … */
export class UpgradeRefused extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`the upgrade was answered with ${status}`);
    this.status = status;
  }
}

/** `url` is the engine's http:// or ws:// URL; `/v1/ws` is added where it has no path. Resolves when the socket is open. */
export async function connect(url: string, options: ConnectOptions = {}): Promise<TestClient> {
  const target = new URL(url.replace(/^http/, 'ws'));
  if (target.pathname === '/') target.pathname = '/v1/ws';
  for (const key of ['session', 'after', 'model', 'image'] as const) {
    if (options[key] !== undefined) target.searchParams.set(key, String(options[key]));
  }
  const protocols = [...(options.subprotocols ?? [PROTOCOL])];
  const headers = { ...options.headers };
  if (options.token !== undefined && options.browser === true) protocols.push(`bearer.${options.token}`);
  else if (options.token !== undefined) headers['authorization'] = `Bearer ${options.token}`;
  const socket = new WebSocket(target, protocols, {
    headers,
    handshakeTimeout: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    ...(options.origin === undefined ? {} : { origin: options.origin }),
  });
  const client = new TestClient(socket, options.after, options.crashes);
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
    socket.once('unexpected-response', (_request, response: IncomingMessage) => {
      reject(new UpgradeRefused(response.statusCode ?? 0));
      response.destroy();
    });
  });
  return client;
}

export class TestClient {
  readonly socket: WebSocket;
  /** Every frame, in the order it came. */
  readonly events: ServerEvent[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #after: number | undefined;
  readonly #crashes: boolean;
  readonly #problems: string[] = [];
  readonly #texts = new Map<string, TextAssembly>();
  readonly #watchers = new Set<() => void>();
  #cursor = 0;
  #nextSeq: number | undefined;
  #close: { code: number; reason: string } | undefined;
  /** Ids are a session's, not a socket's: two clients of one session must not use the same. */
  readonly #name = randomUUID().slice(0, 8);
  #nextId = 1;

  constructor(socket: WebSocket, after: number | undefined, crashes = false) {
    this.socket = socket;
    this.#after = after;
    this.#crashes = crashes;
    this.closed = new Promise((resolve) => {
      socket.once('close', (code, reason) => {
        this.#close = { code, reason: reason.toString() };
        this.#wake();
        resolve(this.#close);
      });
    });
    socket.on('error', (error) => this.#problems.push(`socket: ${error.message}`));
    socket.on('message', (data, binary) => this.#receive(data as Buffer, binary));
  }

  /** The first frame of every attach. */
  get ready(): Promise<EventOf<'session:ready'>> {
    return this.waitFor('session:ready', { from: 0 });
  }

  /** The newest durable seq that came here; 0 before the first. Reconnect with it as `after`. */
  get lastSeq(): number {
    const last = this.events.findLast((event) => 'seq' in event);
    return last && 'seq' in last ? last.seq : 0;
  }

  /** What broke the contract: seqs missing or twice, pieces that do not fit, frames that are no JSON. Empty when all is well. */
  gaps(): string[] {
    return [...this.#problems, ...[...this.#texts.values()].flatMap((assembly) => assembly.problems)];
  }

  /** Every frame, those that have come already first. */
  follow(take: (event: ServerEvent) => void): void {
    let at = 0;
    const look = (): void => {
      while (at < this.events.length) take(this.events[at++]!);
    };
    this.#watchers.add(look);
    look();
  }

  send(frame: ClientFrame): void {
    this.socket.send(JSON.stringify(frame));
  }

  /** As it is: a string leaves as a text frame, a Buffer as a binary one. */
  sendRaw(data: string | Buffer): void {
    this.socket.send(data);
  }

  /** Starts a turn; returns the message's id. */
  say(text: string, id = `m-${this.#name}-${this.#nextId++}`): string {
    this.send({ type: 'message', text, id });
    return id;
  }

  approve(callId: string, answer: Approval = {}): void {
    this.send({ type: 'tool:approval', callId, approved: true, ...answer });
  }

  deny(callId: string, reason?: string): void {
    this.approve(callId, { approved: false, ...(reason === undefined ? {} : { reason }) });
  }

  /**
   * The first matching frame from the cursor on, already here or yet to come; the cursor moves past it.
   * Rejects at the deadline, and at once when the socket closes without it.
   */
  waitFor<T extends EventType>(type: T, options?: WaitOptions): Promise<EventOf<T>>;
  waitFor(match: (event: ServerEvent) => boolean, options?: WaitOptions): Promise<ServerEvent>;
  async waitFor(match: EventType | ((event: ServerEvent) => boolean), options: WaitOptions = {}): Promise<ServerEvent> {
    const matches = typeof match === 'string' ? (event: ServerEvent) => event.type === match : match;
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    let at = options.from === undefined || options.from === 'cursor' ? this.#cursor : options.from;
    let look: (() => void) | undefined;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<ServerEvent>((resolve, reject) => {
        const missed = (why: string): void =>
          reject(
            new Error(`${typeof match === 'string' ? match : 'the event'} did not come: ${why}; ${this.#recent()}`),
          );
        look = () => {
          for (; at < this.events.length; at++) {
            const event = this.events[at];
            if (event === undefined || !matches(event)) continue;
            this.#cursor = Math.max(this.#cursor, at + 1);
            resolve(event);
            return;
          }
          if (this.#close) missed(`the socket closed with ${this.#close.code} ${this.#close.reason}`);
        };
        this.#watchers.add(look);
        timer = setTimeout(() => missed(`${timeoutMs} ms passed`), timeoutMs);
        look();
      });
    } finally {
      clearTimeout(timer);
      if (look) this.#watchers.delete(look);
    }
  }

  /** The end of that turn, or of the next one to end after the cursor. */
  async turnEnd(turn?: number, options: WaitOptions = {}): Promise<EventOf<'turn:end'>> {
    if (turn === undefined) return await this.waitFor('turn:end', options);
    const ends = (event: ServerEvent): event is EventOf<'turn:end'> => event.type === 'turn:end' && event.turn === turn;
    return (await this.waitFor(ends, { from: 0, ...options })) as EventOf<'turn:end'>;
  }

  /** Says it and waits for the end of the turn that it became. */
  async ask(text: string, options: WaitOptions = {}): Promise<EventOf<'turn:end'>> {
    const id = this.say(text);
    const accepted = await this.waitFor((event) => event.type === 'message:accepted' && event.id === id, options);
    if (accepted.type !== 'message:accepted') throw new Error('not an acceptance');
    return await this.turnEnd(accepted.turn, options);
  }

  /** A turn's text so far, block after block; throws where deltas and finished blocks do not agree. */
  text(turn: number): string {
    const prefix = `text ${turn} `;
    const parts = [...this.#texts].filter(([key]) => key.startsWith(prefix)).map(([key, text]) => ({ key, text }));
    const problems = parts.flatMap(({ text }) => text.problems);
    if (problems.length > 0) throw new Error(problems.join('; '));
    const block = (key: string): number => Number(key.slice(prefix.length));
    return parts
      .sort((a, b) => block(a.key) - block(b.key))
      .map(({ text }) => text.text)
      .join('');
  }

  /** What a tool has printed so far. */
  output(callId: string, stream: 'stdout' | 'stderr' | 'progress' = 'stdout'): string {
    return this.#texts.get(`output ${callId} ${stream}`)?.text ?? '';
  }

  /** Stops reading from the socket: a slow reader. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** Closes in good order and waits for it; a peer that does not answer is cut off by `ws` after 30 s. */
  async close(code = 1000): Promise<void> {
    this.socket.resume();
    this.socket.close(code);
    await this.closed;
  }

  /** Cuts the socket, as a lost network would. */
  async terminate(): Promise<void> {
    this.socket.terminate();
    await this.closed;
  }

  #receive(data: Buffer, binary: boolean): void {
    if (binary) {
      this.#problems.push('a binary frame came');
      return;
    }
    let event: ServerEvent;
    try {
      event = JSON.parse(data.toString()) as ServerEvent;
    } catch {
      this.#problems.push(`a frame is not JSON: ${data.toString().slice(0, 100)}`);
      return;
    }
    this.events.push(event);
    this.#check(event);
    this.#wake();
  }

  #check(event: ServerEvent): void {
    if (this.events.length === 1 && event.type !== 'session:ready') {
      this.#problems.push(`the first frame is ${event.type}`);
    }
    switch (event.type) {
      case 'session:ready':
        // After a reset, and with `after=0`, the log says where it begins; else the next seq is known.
        if (event.reset === true || this.#after === 0) this.#nextSeq = undefined;
        else this.#nextSeq = (this.#after ?? event.seq) + 1;
        return;
      case 'text:delta':
      case 'thinking:delta':
        this.#assembly(`${event.type === 'text:delta' ? 'text' : 'thinking'} ${event.turn} ${event.block}`).add(
          event.offset,
          event.text,
        );
        return;
      case 'tool:output':
        this.#assembly(`output ${event.callId} ${event.stream}`).add(event.offset, event.text);
        return;
      case 'error':
      case 'pong':
      case 'auth:refreshed':
      case 'sandbox:restarted':
      case 'turn:waiting':
        return;
      default:
        this.#checkSeq(event.type, event.seq);
        if (event.type === 'text') this.#assembly(`text ${event.turn} ${event.block}`).finish(event.text);
    }
  }

  #checkSeq(type: string, seq: number): void {
    if (!Number.isInteger(seq)) this.#problems.push(`${type} has no seq`);
    else if (this.#nextSeq !== undefined && seq !== this.#nextSeq) {
      this.#problems.push(`${type} has seq ${seq}, but ${this.#nextSeq} was due`);
    }
    this.#nextSeq = seq + 1;
  }

  #assembly(name: string): TextAssembly {
    let assembly = this.#texts.get(name);
    if (!assembly) this.#texts.set(name, (assembly = new TextAssembly(name, this.#crashes)));
    return assembly;
  }

  #wake(): void {
    for (const look of this.#watchers) look();
  }

  #recent(): string {
    const last = this.events.slice(-5).map((event) => JSON.stringify(event).slice(0, 300));
    return `${this.events.length} frames came, the last: ${last.join(' ')}`;
  }
}
