/** A protocol client for one session, without a terminal: resumes after a lost connection and passes each event on once, in order. Command line's process. */
import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { FairleadError } from '../../shared/errors.js';
import type { ClientFrame, DurableEvent, Pending, ServerEvent, StreamingEvent } from '../../shared/protocol.js';
import { Assembly } from './assembly.js';
import { Link } from './link.js';

const MAX_UNANSWERED = 100;

export interface ChatClientOptions {
  /** The WebSocket's address, without a query. */
  ws: string;
  token?: string | undefined;
  /** Throws where the token must not be sent; called before each connection. */
  guard?: (() => void) | undefined;
  session?: string | undefined;
  model?: string | undefined;
  giveUpMs?: number;
  backoff?: (failures: number) => number;
}

export interface ChatClientEvents {
  /** Every server event once: durable ones in seq order, text as deltas without gap or repeat, also for blocks that came whole. */
  event: [ServerEvent];
  retry: [{ delayMs: number; why: string }];
  end: [error: FairleadError | undefined];
}

export type Approval = Omit<Extract<ClientFrame, { type: 'tool:approval' }>, 'type' | 'id'>;
export type ElicitationReply = Omit<Extract<ClientFrame, { type: 'elicitation:reply' }>, 'type' | 'id'>;
type Ready = Extract<ServerEvent, { type: 'session:ready' }>;
type Numbered = DurableEvent & { seq: number };

export class ChatClient extends EventEmitter<ChatClientEvents> {
  readonly #options: ChatClientOptions;
  readonly #link: Link;
  readonly #assembly = new Assembly();
  /** Frames without an answer, by id; they are sent again after a lost connection. */
  readonly #unanswered = new Map<string, ClientFrame>();
  readonly #pending = new Map<string, Pending>();
  readonly #turns = new Set<number>();
  #session: string | undefined;
  /** The newest seq that was passed on; undefined before the first attach. */
  #seq: number | undefined;
  /** The last seq of a running replay. */
  #replayTo: number | undefined;
  #attached = false;
  #endedTurn = 0;
  /** The server's limit. A longer frame would cut the connection, and again after each reconnect. */
  #maxFrameBytes = Number.POSITIVE_INFINITY;

  constructor(options: ChatClientOptions) {
    super();
    this.#options = options;
    this.#session = options.session;
    this.#link = new Link({
      address: () => this.#address(),
      token: options.token,
      guard: options.guard,
      giveUpMs: options.giveUpMs ?? 600_000,
      backoff: options.backoff,
    });
    this.#link.on('frame', (text) => this.#receive(text));
    this.#link.on('retry', (retry) => {
      this.#attached = false;
      this.#replayTo = undefined;
      this.emit('retry', retry);
    });
    this.#link.on('end', (error) => this.emit('end', error));
  }

  get session(): string | undefined {
    return this.#session;
  }

  get attached(): boolean {
    return this.#attached;
  }

  /** True while a turn runs or waits, or a message has no answer. */
  get busy(): boolean {
    return this.#turns.size > 0 || [...this.#unanswered.values()].some(({ type }) => type === 'message');
  }

  /** Approvals and questions that this client has not answered, oldest first. */
  get pending(): Pending[] {
    const answered = new Set([...this.#unanswered.values()].map(keyOfAnswer));
    return [...this.#pending.values()].filter((item) => !answered.has(keyOfPending(item)));
  }

  start(): void {
    this.#link.connect();
  }

  /** Returns the message's id; `message:accepted` or `error` with the same id answers it. */
  message(text: string): string {
    return this.#sendUntilAnswered({ type: 'message', text });
  }

  approve(approval: Approval): void {
    this.#sendUntilAnswered({ type: 'tool:approval', ...approval });
  }

  reply(reply: ElicitationReply): void {
    this.#sendUntilAnswered({ type: 'elicitation:reply', ...reply });
  }

  reset(): void {
    this.#sendUntilAnswered({ type: 'history:reset' });
  }

  /** False when it was not sent. */
  restartSandbox(discard: boolean): boolean {
    return this.#attached && this.#link.send(JSON.stringify({ type: 'sandbox:restart', id: randomUUID(), discard }));
  }

  /** False when it was not sent. A cancel is not kept for later, since it could hit another turn. */
  cancel(): boolean {
    return this.#attached && this.#link.send(JSON.stringify({ type: 'turn:cancel', id: randomUUID() }));
  }

  close(): void {
    this.#link.close();
  }

  #address(): string {
    const query = new URLSearchParams();
    if (this.#session !== undefined) query.set('session', this.#session);
    else if (this.#options.model !== undefined) query.set('model', this.#options.model);
    if (this.#seq !== undefined) query.set('after', String(this.#seq));
    return query.size === 0 ? this.#options.ws : `${this.#options.ws}?${query.toString()}`;
  }

  #sendUntilAnswered(frame: ClientFrame): string {
    if (this.#unanswered.size >= MAX_UNANSWERED) {
      throw new FairleadError('ERR_TOO_MANY_REQUESTS', `${MAX_UNANSWERED} messages wait for the server already`);
    }
    const id = randomUUID();
    const whole = { ...frame, id };
    if (this.#isTooLong(whole)) {
      throw new FairleadError('ERR_TOO_LARGE', `longer than the ${this.#maxFrameBytes} bytes that the server takes`);
    }
    this.#unanswered.set(id, whole);
    // A replay may contain the answers to earlier frames, so frames wait for its end and are then sent in order.
    if (this.#attached && this.#replayTo === undefined) this.#link.send(JSON.stringify(whole));
    return id;
  }

  #isTooLong(frame: ClientFrame): boolean {
    return Buffer.byteLength(JSON.stringify(frame)) > this.#maxFrameBytes;
  }

  #receive(text: string): void {
    const event = parseEvent(text);
    if (event === undefined) return;
    if (event.type === 'session:ready') return this.#ready(event);
    if ('seq' in event) return this.#durable(event);
    switch (event.type) {
      case 'text:delta':
      case 'thinking:delta':
        if (event.turn <= this.#endedTurn) return undefined;
        this.#turns.add(event.turn);
        return this.#passOn(this.#assembly.delta(event));
      case 'tool:output':
        return this.#passOn(this.#assembly.delta(event));
      case 'error':
        this.#refused(event.id, event.code);
        if (event.code === 'ERR_DUPLICATE_MESSAGE') return undefined; // the repeated message had arrived before
        break;
      default:
    }
    this.emit('event', event);
    return undefined;
  }

  #ready(event: Ready): void {
    this.#session = event.session;
    this.#attached = true;
    this.#maxFrameBytes = event.limits.maxFrameBytes;
    this.#link.ready();
    this.#pending.clear();
    for (const item of event.pending) this.#open(item);
    if (this.#seq === undefined || event.reset === true || this.#seq > event.seq) {
      this.#seq = event.seq;
      this.#assembly.clear();
    }
    if (event.reset === true && isOver(event)) {
      this.#endedTurn = Math.max(this.#endedTurn, ...this.#turns);
      this.#turns.clear();
    }
    this.#replayTo = event.seq;
    this.emit('event', event);
    this.#afterReplay();
  }

  #durable(event: Numbered): void {
    const last = this.#seq ?? 0;
    // A message that was sent twice may get its first answer again, with a seq that is known already.
    if (event.type === 'message:accepted' && event.id !== undefined) this.#unanswered.delete(event.id);
    if (event.seq <= last) return;
    if (event.seq > last + 1) return this.#link.renew();
    this.#seq = event.seq;
    this.#track(event);
    if (event.type === 'text') this.#passOn(this.#assembly.rest(event));
    this.emit('event', event);
    this.#afterReplay();
  }

  /** After the replay, sends again what it did not answer. */
  #afterReplay(): void {
    if (this.#replayTo === undefined || (this.#seq ?? 0) < this.#replayTo) return;
    this.#replayTo = undefined;
    for (const [id, frame] of this.#unanswered) {
      const key = keyOfAnswer(frame);
      if (key !== undefined && !this.#pending.has(key)) this.#unanswered.delete(id);
      else if (this.#isTooLong(frame)) {
        this.#unanswered.delete(id);
        this.emit('event', { type: 'error', id, code: 'ERR_TOO_LARGE', message: 'longer than the server takes' });
      } else this.#link.send(JSON.stringify(frame));
    }
  }

  #track(event: Numbered): void {
    switch (event.type) {
      case 'message:accepted':
      case 'turn:start':
        this.#turns.add(event.turn);
        break;
      case 'tool:approval_required':
        this.#open({ ...event, kind: 'approval' });
        break;
      case 'elicitation:request':
        this.#open({ ...event, kind: 'elicitation' });
        break;
      case 'tool:approved':
      case 'tool:denied':
        this.#answered(`call ${event.callId}`);
        break;
      case 'elicitation:resolved':
        this.#answered(`question ${event.requestId}`);
        break;
      case 'tool:result':
        this.#assembly.forgetCall(event.callId);
        break;
      case 'history:cleared':
        this.#drop(({ type }) => type === 'history:reset');
        break;
      case 'turn:end':
        this.#turns.delete(event.turn);
        this.#endedTurn = Math.max(this.#endedTurn, event.turn);
        this.#assembly.forgetTurn(event.turn);
        // Only one turn runs at a time, so its end closes all open questions.
        for (const key of this.#pending.keys()) this.#answered(key);
        break;
      default:
    }
  }

  #open(item: Pending): void {
    this.#pending.set(keyOfPending(item), item);
    if (item.kind === 'approval') this.#turns.add(item.turn);
  }

  #answered(key: string): void {
    this.#pending.delete(key);
    this.#drop((frame) => keyOfAnswer(frame) === key);
  }

  /** Handles a refused frame: an answer that came too late closes its question, any other refusal opens it again. */
  #refused(id: string | undefined, code: string): void {
    const frame = id === undefined ? undefined : this.#unanswered.get(id);
    if (id === undefined || frame === undefined) return;
    this.#unanswered.delete(id);
    const key = keyOfAnswer(frame);
    if (key !== undefined && code === 'ERR_CALL_NOT_PENDING') this.#pending.delete(key);
  }

  #drop(matches: (frame: ClientFrame) => boolean): void {
    for (const [id, frame] of this.#unanswered) if (matches(frame)) this.#unanswered.delete(id);
  }

  #passOn(event: StreamingEvent | undefined): void {
    if (event !== undefined) this.emit('event', event);
  }
}

/** True when the transcript ends in an answer without a tool call: then no turn runs. */
function isOver({ transcript }: Ready): boolean {
  const last = transcript?.at(-1);
  return last?.role === 'assistant' && !last.content.some((block) => (block as { type?: string }).type === 'tool_use');
}

function keyOfPending(item: Pending): string {
  return item.kind === 'approval' ? `call ${item.callId}` : `question ${item.requestId}`;
}

function keyOfAnswer(frame: ClientFrame): string | undefined {
  if (frame.type === 'tool:approval') return `call ${frame.callId}`;
  return frame.type === 'elicitation:reply' ? `question ${frame.requestId}` : undefined;
}

/** Undefined for text that is no event; a newer server may send more types. */
function parseEvent(text: string): ServerEvent | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  const isEvent = typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
  return isEvent ? (value as ServerEvent) : undefined;
}
