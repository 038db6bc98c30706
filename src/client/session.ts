/** A session: each durable event once and in order, text without gap or repeat, and what is said until it is answered. */
import type { ClientFrame, DurableEvent, Pending, ServerEvent, StreamingEvent, UserBlock } from '../shared/protocol.js';
import { queryOf } from './address.js';
import { Assembly } from './assembly.js';
import { ClientError, CLOSED } from './client-error.js';
import { Connection, type Loss } from './connection.js';
import { EventQueue } from './event-queue.js';
import { judgeLoss } from './give-up.js';
import { keyOfAnswer, OpenItems } from './open-items.js';
import { Outbox, type KeptFrame } from './outbox.js';
import type { ConnectionEvent, ConnectionState, SessionEvent } from './session-event.js';
import type { SocketConstructor } from './socket.js';
import { readToken, Renewal, type Token } from './token.js';

const DEFAULTS = {
  giveUpAfterMs: 600_000,
  backoffMs: fullJitter,
  readyMs: 20_000,
  silenceMs: 25_000,
  answerMs: 10_000,
  maxResends: 10,
  maxQueuedChars: 16_777_216,
};
/** What an event of the connection counts in the queue. */
const STATE_CHARS = 200;

type Frame<T extends ClientFrame['type']> = Extract<ClientFrame, { type: T }>;
type Event<T extends ServerEvent['type']> = Extract<ServerEvent, { type: T }>;
type Numbered = DurableEvent & { seq: number };

export interface SessionOptions {
  /** Absent: a new session. */
  session?: string | undefined;
  /** The `seq` of the last event that was handled; 0: all that the log holds. Absent: from now on. */
  after?: number | undefined;
  /** Of a new session. */
  model?: string | undefined;
  /** Of a new session's sandbox, as `GET /v1/images` names it. */
  image?: string | undefined;
  /** Ends with ERR_UNAVAILABLE after this time without a connection. Default ten minutes. */
  giveUpAfterMs?: number;
  /** An error ends the session where the client would try again. */
  giveUp?: (loss: Loss) => ClientError | undefined;
  /** ms before the attempt after `failures` failures in a row. Default 0.1 to 15 s, with full jitter. */
  backoffMs?: (failures: number) => number;
  /** Longest time from an attempt's beginning to `session:ready`. Default 20 s. */
  readyMs?: number;
  /** After so much silence the client sends a ping, and takes the connection for dead without an answer. Default 25 s and 10 s. */
  silenceMs?: number;
  answerMs?: number;
  /** How often a frame is sent again that the server refuses for the moment (503). Default 10. */
  maxResends?: number;
  /** Characters of events that may wait for their reader. Default 16 Mi. */
  maxQueuedChars?: number;
}

/** Where and as whom. */
export interface SessionPlace {
  /** The WebSocket's address, without a query. */
  ws: string;
  token: Token;
  WebSocket: SocketConstructor;
}

export interface Accepted {
  id: string;
  /** Absent where an earlier connection had brought the message, and its acceptance is still on the way or no longer in the log. */
  turn?: number;
}

/** Refusals that pass by themselves. */
const PASSING = new Set([
  'ERR_UNAVAILABLE',
  'ERR_DRAINING',
  'ERR_STORE_CONFLICT',
  'ERR_CHANNEL_CLOSED',
  'ERR_CHANNEL_TIMEOUT',
]);

export class Session implements AsyncIterable<SessionEvent> {
  readonly #ofNew: Pick<SessionOptions, 'model' | 'image'>;
  readonly #connection: Connection;
  readonly #outbox: Outbox;
  readonly #renewal: Renewal;
  readonly #queue: EventQueue;
  readonly #assembly = new Assembly();
  readonly #items = new OpenItems();
  readonly #listeners = new Set<(event: SessionEvent) => void>();
  #readers = 0;
  #id: string | undefined;
  #seq: number | undefined;
  /** The last seq of a running replay. */
  #replayTo: number | undefined;
  #state: ConnectionState = 'connecting';
  #error: ClientError | undefined;

  constructor({ ws, token, WebSocket }: SessionPlace, given: SessionOptions = {}) {
    const options = { ...DEFAULTS, ...given };
    this.#id = options.session;
    this.#seq = this.#id === undefined ? undefined : options.after;
    this.#ofNew = { model: options.model, image: options.image };
    this.#queue = new EventQueue(options.maxQueuedChars);
    this.#connection = new Connection({
      ...options,
      WebSocket,
      address: () => ws + this.#query(),
      token: (refused) => readToken(token, refused),
      giveUp: (loss) => options.giveUp?.(loss) ?? judgeLoss(loss, options.giveUpAfterMs, typeof token === 'function'),
      onFrame: (text) => this.#receive(text),
      onState: (state) => this.#stateChanged(state),
    });
    this.#outbox = new Outbox({ ...options, send: (json) => this.#connection.send(json) });
    this.#renewal = new Renewal(token, (newer) => {
      this.#send({ type: 'auth:refresh', id: REFRESH, token: newer });
    });
  }

  /** Undefined until the first `session:ready` of a new session. Keep it with `seq` to come back. */
  get id(): string | undefined {
    return this.#id;
  }

  /** The last durable event that was given: `after` of the next time. */
  get seq(): number | undefined {
    return this.#seq;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** True while a turn runs or waits, or a message has no answer. */
  get busy(): boolean {
    return this.#items.isRunning || this.#outbox.has(({ type }) => type === 'message');
  }

  /** Approvals and questions that nobody has answered yet, this client neither; oldest first. None once it is closed. */
  get pending(): Pending[] {
    if (this.#state === 'closed') return [];
    const open = this.#items.list().filter(([key]) => !this.#outbox.has((frame) => keyOfAnswer(frame) === key));
    return open.map(([, item]) => item);
  }

  /** Starts a turn. Resolves when the server has stored the message, which it does once, however often it is sent. */
  send(message: string | UserBlock[], { id = newId() }: { id?: string } = {}): Promise<Accepted> {
    const said = typeof message === 'string' ? { text: message } : { content: message };
    return this.#outbox.add({ type: 'message', id, ...said }) as Promise<Accepted>;
  }

  /** A yes. Resolves with what became of the call, which somebody else may have decided first. */
  approve(
    callId: string,
    options: Pick<Frame<'tool:approval'>, 'args' | 'definition' | 'remember'> = {},
  ): Promise<Event<'tool:approved' | 'tool:denied'>> {
    return this.#answer({ type: 'tool:approval', callId, approved: true, ...options });
  }

  /** A no; the reason is told to the model. */
  deny(callId: string, reason?: string): Promise<Event<'tool:approved' | 'tool:denied'>> {
    return this.#answer({ type: 'tool:approval', callId, approved: false, ...(reason !== undefined && { reason }) });
  }

  /** Answers a question of an MCP server. */
  reply(
    requestId: string,
    action: Frame<'elicitation:reply'>['action'],
    content?: Record<string, unknown>,
  ): Promise<Event<'elicitation:resolved'>> {
    return this.#answer({ type: 'elicitation:reply', requestId, action, ...(content !== undefined && { content }) });
  }

  /** Forgets the conversation; the files stay. */
  reset(): Promise<Event<'history:cleared'>> {
    return this.#answer({ type: 'history:reset' });
  }

  /** Stops the running turn. False without a connection: it is not kept for later, since it could hit another turn. */
  cancel(): boolean {
    return this.#send({ type: 'turn:cancel', id: newId() });
  }

  /** Saves the files and ends the sandboxes; `sandbox:restarted` says that it is done. False without a connection. */
  restartSandbox(discard = false): boolean {
    return this.#send({ type: 'sandbox:restart', id: newId(), discard });
  }

  /** Every event from now on, and first those that nobody has read. Returns what stops it. */
  on(listener: (event: SessionEvent) => void): () => void {
    this.#listeners.add(listener);
    while (this.#readers === 0) {
      const event = this.#take();
      if (event === undefined) break;
      listener(event);
    }
    return () => this.#listeners.delete(listener);
  }

  /** Ends after `close()`; throws where the session has ended otherwise. A second loop goes on where the first was left. */
  async *[Symbol.asyncIterator](): AsyncGenerator<SessionEvent, void> {
    this.#readers++;
    try {
      for (;;) {
        const event = this.#take();
        if (event !== undefined) yield event;
        else if (this.#state === 'closed') break;
        else await this.#queue.wait();
      }
      if (this.#error) throw this.#error;
    } finally {
      this.#readers--;
    }
  }

  /** Leaves; the session and its turn go on at the server. Resolves when the socket is gone, within a second. */
  async close(): Promise<void> {
    const closing = this.#connection.close();
    this.#queue.clear();
    await closing;
  }

  /** Gets a new connection at once, also where a retry is waited for. */
  reconnect(): void {
    this.#connection.reconnect();
  }

  #query(): string {
    return queryOf({ session: this.#id, ...(this.#id === undefined && this.#ofNew), after: this.#seq });
  }

  #answer<T>(frame: KeptFrame): Promise<T> {
    return this.#outbox.add({ ...frame, id: newId() }) as Promise<T>;
  }

  #send(frame: ClientFrame): boolean {
    return this.#connection.send(JSON.stringify(frame));
  }

  #take(): SessionEvent | undefined {
    const event = this.#queue.shift();
    if (event !== undefined && this.#state === 'paused' && this.#queue.hasRoom) this.#connection.resume();
    return event;
  }

  #emit(event: SessionEvent, chars: number): void {
    for (const listener of this.#listeners) listener(event);
    if (this.#listeners.size > 0 && this.#readers === 0) return;
    this.#queue.push(event, chars);
    if (this.#queue.isFull) this.#connection.pause();
  }

  #stateChanged(state: ConnectionEvent): void {
    this.#state = state.type.slice('connection:'.length) as ConnectionState;
    if (state.type !== 'connection:live') {
      this.#replayTo = undefined;
      this.#outbox.pause();
      this.#renewal.stop();
    }
    if (state.type === 'connection:closed') {
      this.#error = state.error;
      this.#outbox.close(state.error ?? new ClientError(CLOSED, 'closed before the answer came'));
    }
    this.#emit(state, STATE_CHARS);
    this.#queue.wake();
  }

  #receive(text: string): void {
    const event = parseEvent(text);
    if (event === undefined) return;
    const chars = text.length;
    if (event.type === 'session:ready') return this.#ready(event, chars);
    if ('seq' in event) return this.#durable(event, chars);
    switch (event.type) {
      case 'text:delta':
      case 'thinking:delta':
        if (event.turn <= this.#items.endedTurn) return undefined;
        this.#items.runs(event.turn);
        return this.#passOn(this.#assembly.delta(event));
      case 'tool:output':
        return this.#passOn(this.#assembly.delta(event));
      case 'error':
        if (this.#isSettled(event)) return undefined;
        break;
      case 'auth:refreshed':
        this.#renewal.plan(event.expiresAt);
        break;
      case 'pong':
        if (event.id === undefined) return undefined;
        break;
      default:
    }
    this.#emit(event, chars);
    return undefined;
  }

  #ready(event: Event<'session:ready'>, chars: number): void {
    this.#id = event.session;
    this.#outbox.maxFrameBytes = event.limits.maxFrameBytes;
    this.#items.ready(event);
    if (this.#seq === undefined || event.reset === true) {
      this.#seq = event.seq;
      this.#assembly.clear();
    }
    this.#replayTo = event.seq;
    this.#connection.ready();
    this.#renewal.plan(event.expiresAt);
    this.#emit(event, chars);
    this.#afterReplay();
  }

  #durable(event: Numbered, chars: number): void {
    const last = this.#seq ?? 0;
    // A message that was sent twice may get its first answer again, with a seq that is known already.
    if (event.type === 'message:accepted' && event.id !== undefined) {
      this.#outbox.answer(event.id, { id: event.id, turn: event.turn });
    }
    if (event.seq <= last) return undefined;
    // From 0 on the replay begins where the log does.
    if (event.seq > last + 1 && last > 0) return this.#connection.drop('an event is missing');
    this.#seq = event.seq;
    for (const key of this.#items.take(event, this.#replayTo !== undefined)) this.#closed(key, event);
    if (event.type === 'history:cleared') this.#outbox.settle(({ type }) => type === 'history:reset', event);
    if (event.type === 'tool:result') this.#assembly.forgetCall(event.callId);
    if (event.type === 'text') this.#passOn(this.#assembly.rest(event));
    if (event.type === 'turn:end') this.#assembly.forgetTurn(event.turn);
    this.#emit(event, chars);
    this.#afterReplay();
    return undefined;
  }

  #closed(key: string, event: Numbered): void {
    this.#outbox.settle((frame) => keyOfAnswer(frame) === key, event.type === 'turn:end' ? notPending() : event);
  }

  /** Once the replay has answered what it can, the rest is sent again. */
  #afterReplay(): void {
    // A listener may have closed it, and a full queue pauses it.
    if (this.#state !== 'live' || this.#replayTo === undefined || (this.#seq ?? 0) < this.#replayTo) return;
    this.#replayTo = undefined;
    this.#outbox.settle((frame) => {
      const key = keyOfAnswer(frame);
      return key !== undefined && !this.#items.has(key);
    }, notPending());
    this.#outbox.open();
  }

  /** True for an error that the reader needs not see: the frame is sent again, or had arrived before. */
  #isSettled({ id, code, message, retryAfterMs }: Event<'error'>): boolean {
    if (id === undefined) {
      // A frame over the user's bytes a second is not read, so its id is not known.
      return code === 'ERR_TOO_MANY_REQUESTS' && this.#outbox.holdAll(retryAfterMs ?? 1_000);
    }
    if (id === REFRESH) {
      this.#renewal.again();
      return true;
    }
    if (code === 'ERR_DUPLICATE_MESSAGE') {
      this.#outbox.answer(id, { id });
      return true;
    }
    const error = new ClientError(code, message, { retryAfterMs });
    if (PASSING.has(code) && this.#outbox.holdBack(id, error)) return true;
    const frame = this.#outbox.refuse(id, error);
    const key = frame && keyOfAnswer(frame);
    // An answer that came too late closes its question; after any other refusal it is open again.
    if (key !== undefined && code === 'ERR_CALL_NOT_PENDING') this.#items.close(key);
    return false;
  }

  #passOn(event: StreamingEvent | undefined): void {
    if (event !== undefined) this.#emit(event, event.text.length);
  }
}

const REFRESH = 'client:refresh';

function notPending(): ClientError {
  return new ClientError('ERR_CALL_NOT_PENDING', 'it waits for no answer');
}

/** 0.1 s to 15 s. The full jitter spreads clients that lost the same server. */
function fullJitter(failures: number): number {
  return 100 + Math.random() * Math.min(15_000, 400 * 2 ** Math.min(failures, 10));
}

/** 128 bits. `crypto.randomUUID` is missing on pages without TLS. */
function newId(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join('-');
}

/** Undefined for text that is no event; a newer server may send more types. */
function parseEvent(text: string): ServerEvent | undefined {
  try {
    const event = JSON.parse(text) as ServerEvent | null;
    return typeof event?.type === 'string' ? event : undefined;
  } catch {
    return undefined; // not JSON
  }
}
