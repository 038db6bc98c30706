/** Frames that have no answer yet: sent again after a lost connection or a refusal that passes, until each has its answer. */
import type { ClientFrame } from '../shared/protocol.js';
import { ClientError } from './client-error.js';

const MAX_WAITING = 100;

/** Those that are kept until they are answered. A cancel is not: later it could hit another turn. */
export type KeptFrame = Extract<
  ClientFrame,
  { type: 'message' | 'tool:approval' | 'elicitation:reply' | 'history:reset' }
>;

interface Entry {
  frame: KeptFrame;
  json: string;
  sent: boolean;
  /** Not before this, as performance.now() counts: the clock may be set while it waits. */
  dueAt: number;
  refusals: number;
  resolve: (answer: unknown) => void;
  reject: (error: ClientError) => void;
}

export interface OutboxOptions {
  /** False without a connection. */
  send: (json: string) => boolean;
  /** How often a frame is sent again that was refused for the moment. */
  maxResends: number;
  backoffMs: (failures: number) => number;
}

export class Outbox {
  readonly #options: OutboxOptions;
  /** By id, in the order in which they were said. */
  readonly #entries = new Map<string, Entry>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Between the end of the replay and the loss of the connection. */
  #open = false;
  #closed: ClientError | undefined;
  /** The server's limit. A longer frame would cut the connection, and again after each reconnect. */
  maxFrameBytes = Infinity;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /**
   * Resolves with what answers it; nobody has to look, since a rejection that is not looked at does no harm. Throws at once what
   * cannot be sent at all.
   */
  add(frame: KeptFrame & { id: string }): Promise<unknown> {
    const json = JSON.stringify(frame);
    if (this.#closed) throw this.#closed;
    if (this.#isTooLong(json)) throw this.#tooLong();
    if (this.#entries.size >= MAX_WAITING) {
      throw new ClientError('ERR_TOO_MANY_REQUESTS', `${MAX_WAITING} frames have no answer yet`);
    }
    const answer = new Promise((resolve, reject) => {
      this.#entries.set(frame.id, { frame, json, sent: false, dueAt: 0, refusals: 0, resolve, reject });
    });
    answer.catch(() => undefined);
    this.#flush();
    return answer;
  }

  has(matches: (frame: KeptFrame) => boolean): boolean {
    return [...this.#entries.values()].some(({ frame }) => matches(frame));
  }

  /** The replay is over: it has answered what it could, and the rest goes out again. */
  open(): void {
    this.#open = true;
    for (const [id, entry] of this.#entries) {
      entry.sent = false;
      if (this.#isTooLong(entry.json)) this.refuse(id, this.#tooLong());
    }
    this.#flush();
  }

  /** The connection is lost. */
  pause(): void {
    this.#open = false;
    clearTimeout(this.#timer);
  }

  answer(id: string, answer: unknown): void {
    this.#take(id)?.resolve(answer);
  }

  /** What answers them, or why nothing will. */
  settle(matches: (frame: KeptFrame) => boolean, answer: unknown): void {
    for (const [id, { frame }] of this.#entries) {
      if (!matches(frame)) continue;
      if (answer instanceof ClientError) this.refuse(id, answer);
      else this.answer(id, answer);
    }
  }

  /** Undefined where it waits for no answer. */
  refuse(id: string, error: ClientError): KeptFrame | undefined {
    const entry = this.#take(id);
    entry?.reject(error);
    return entry?.frame;
  }

  /** The refusal passes: it is sent again later. False where it waits for no answer, or was refused too often. */
  holdBack(id: string, { retryAfterMs }: ClientError): boolean {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.refusals >= this.#options.maxResends) return false;
    this.#hold(entry, retryAfterMs ?? this.#options.backoffMs(entry.refusals));
    entry.refusals++;
    this.#flush();
    return true;
  }

  /** One of them was not read, and the server cannot say which. False: nothing waits. */
  holdAll(ms: number): boolean {
    for (const entry of this.#entries.values()) this.#hold(entry, ms);
    this.#flush();
    return this.#entries.size > 0;
  }

  close(error: ClientError): void {
    this.#closed = error;
    this.pause();
    this.settle(() => true, error);
  }

  #hold(entry: Entry, ms: number): void {
    entry.sent = false;
    entry.dueAt = performance.now() + ms;
  }

  #flush(): void {
    clearTimeout(this.#timer);
    if (!this.#open) return;
    const now = performance.now();
    let next = Infinity;
    for (const entry of this.#entries.values()) {
      if (entry.sent) continue;
      if (entry.dueAt > now) next = Math.min(next, entry.dueAt);
      else entry.sent = this.#options.send(entry.json);
    }
    if (next < Infinity) this.#timer = setTimeout(() => this.#flush(), next - now);
  }

  #take(id: string): Entry | undefined {
    const entry = this.#entries.get(id);
    this.#entries.delete(id);
    return entry;
  }

  #isTooLong(json: string): boolean {
    // A UTF-16 unit has three bytes at most.
    return json.length * 3 > this.maxFrameBytes && new TextEncoder().encode(json).length > this.maxFrameBytes;
  }

  #tooLong(): ClientError {
    return new ClientError('ERR_TOO_LARGE', `the server takes ${this.maxFrameBytes} bytes`);
  }
}
