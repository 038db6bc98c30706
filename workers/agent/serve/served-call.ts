/**
 * One request of an MCP client that a server of ours answers, and that may want answers of the client in the middle. Between
 * two requests of a client of the newer era it waits here, its work going on. Agent threads.
 */
import type { ClientCapabilities, InputRequest, LoggingLevel, Progress } from '@modelcontextprotocol/server';
import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { cancelled, onAbort, pending } from '../../../src/shared/abort.js';
import { FairleadError } from '../../../src/shared/errors.js';

/** Questions that are open at once. */
const MAX_OPEN = 10;
/** How often one call may come back for more; also where an answer does not fit and is asked for again. */
const MAX_ROUNDS = 20;

/** The request that the client has open for it now. */
export interface CallLink {
  signal: AbortSignal;
  capabilities: ClientCapabilities;
  /** What the client wants to hear of the server's log; undefined: nothing. */
  logLevel: LoggingLevel | undefined;
  onProgress(progress: Progress): void;
  onLog(entry: LogEntry): void;
  /** The older era asks the client at once; the newer one's answer is that something is wanted. */
  push?: (request: InputRequest, signal: AbortSignal) => Promise<unknown>;
}

export interface LogEntry {
  level: string;
  logger?: string | undefined;
  data: unknown;
}

type Result = Record<string, unknown>;

export type ServedReply = { result: Result } | { asks: Record<string, InputRequest>; round: number };

export interface ClientQuestion<T> {
  /** As the server has named it; undefined: we do. */
  key: string | undefined;
  request: InputRequest;
  /** What a response says; undefined when it does not fit and is to be asked for again. It is the client's word alone. */
  read: (response: unknown) => T | undefined;
  /** What it is when nobody answers, or what it throws. */
  unanswered: () => T;
  signal: AbortSignal;
  /** It may be answered before it is asked: a client may know what the server wants. */
  early?: boolean;
}

interface Ask {
  request: InputRequest;
  /** False: the response does not fit. */
  take(response: unknown): boolean;
  drop(): void;
}

export class ServedCall {
  readonly id = randomBytes(18).toString('base64url');
  readonly #asks = new Map<string, Ask>();
  readonly #abort = new AbortController();
  readonly #waitMs: number;
  readonly #onEnd: () => void;
  #offered: Record<string, unknown> = {};
  #link: CallLink | undefined;
  #unlink: (() => void) | undefined;
  #capabilities: ClientCapabilities = {};
  #outcome: { result: Result } | { error: unknown } | undefined;
  #wake: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #round = 0;
  #named = 0;
  #ended = false;

  /** `waitMs`: how long it waits for the client to come back. `onEnd` is called once. */
  constructor(options: { waitMs: number; onEnd: () => void }) {
    this.#waitMs = options.waitMs;
    this.#onEnd = options.onEnd;
  }

  /** Aborts when the call is over, however it is. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Grows with each time that something is wanted. */
  get round(): number {
    return this.#round;
  }

  /** Nobody has a request open for it. */
  get waiting(): boolean {
    return this.#link === undefined;
  }

  /** Of the newest request. */
  get capabilities(): ClientCapabilities {
    return this.#capabilities;
  }

  /** What its client wants to hear of a server's log. */
  get logLevel(): LoggingLevel | undefined {
    return this.#link?.logLevel;
  }

  /** Once. `offered`: responses that came with the request, for a server that asks for them. */
  start(link: CallLink, offered: Record<string, unknown> | undefined, work: () => Promise<Result>): void {
    this.#attach(link);
    this.#offered = { ...offered };
    work().then(
      (result) => this.#settle({ result }),
      (error: unknown) => this.#settle({ error }),
    );
  }

  /** The client has come back. What fits is taken, the rest is asked for again. */
  resume(link: CallLink, responses: Record<string, unknown>): void {
    this.#attach(link);
    for (const [key, ask] of this.#asks) if (ask.take(responses[key])) this.#asks.delete(key);
  }

  /** Resolves with the result, which ends it, or with what is wanted of the client. Rejects with what the work fails with. */
  async next(): Promise<ServedReply> {
    let wanted = false;
    try {
      for (;;) {
        if (this.#outcome === undefined && this.#asks.size === 0) {
          await new Promise<void>((resolve) => (this.#wake = resolve));
        }
        // What a server asks at once comes in one turn of the event loop, and goes to the client as one answer.
        if (this.#outcome === undefined) await nextTurn();
        if (this.#outcome && 'error' in this.#outcome) throw this.#outcome.error;
        if (this.#outcome) return this.#outcome;
        if (this.#asks.size === 0) continue;
        if (++this.#round > MAX_ROUNDS) throw new FairleadError('ERR_MCP', `input was asked for ${MAX_ROUNDS} times`);
        wanted = true;
        const asks = Object.fromEntries([...this.#asks].map(([key, { request }]) => [key, request]));
        return { asks, round: this.#round };
      }
    } finally {
      this.#wake = undefined;
      if (wanted) this.#wait();
      else this.#end();
    }
  }

  /** Puts a question to the client. ERR_MCP when there are too many. */
  async ask<T>({ key, request, read, unanswered, signal, early = false }: ClientQuestion<T>): Promise<T> {
    if (signal.aborted || this.signal.aborted) return unanswered();
    if (this.#link?.push) return this.#push(this.#link.push, { request, read, unanswered, signal });
    const known = early && key !== undefined ? read(this.#offered[key]) : undefined;
    if (key !== undefined) delete this.#offered[key];
    if (known !== undefined) return known;
    if (this.#asks.size >= MAX_OPEN) throw new FairleadError('ERR_MCP', `more than ${MAX_OPEN} questions at once`);
    const name = key !== undefined && !this.#asks.has(key) ? key : `fairlead-${++this.#named}`;
    const answer = pending<{ response: T } | undefined>();
    const drop = (): void => answer.resolve(undefined);
    const take = (given: unknown): boolean => {
      const response = read(given);
      if (response !== undefined) answer.resolve({ response });
      return response !== undefined;
    };
    this.#asks.set(name, { request, take, drop });
    this.#wake?.();
    const stopListening = onAbort(signal, drop);
    const answered = await answer.promise;
    stopListening();
    this.#asks.delete(name);
    return answered ? answered.response : unanswered();
  }

  onProgress(progress: Progress): void {
    this.#link?.onProgress(progress);
  }

  onLog(entry: LogEntry): void {
    this.#link?.onLog(entry);
  }

  /** Whatever it does is aborted; whoever waits for it hears of it. */
  abort(): void {
    this.#settle({ error: cancelled() });
    if (this.waiting) this.#end();
  }

  /** A client that answers nothing that fits, or with an error, has not answered. */
  async #push<T>(
    push: NonNullable<CallLink['push']>,
    { request, read, unanswered, signal }: Pick<ClientQuestion<T>, 'request' | 'read' | 'unanswered' | 'signal'>,
  ): Promise<T> {
    let response: unknown;
    try {
      response = await push(request, AbortSignal.any([signal, this.signal]));
    } catch {
      return unanswered();
    }
    return read(response) ?? unanswered();
  }

  #settle(outcome: { result: Result } | { error: unknown }): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = outcome;
    if ('error' in outcome) this.#abort.abort();
    this.#wake?.();
  }

  #attach(link: CallLink): void {
    clearTimeout(this.#timer);
    this.#link = link;
    this.#capabilities = link.capabilities;
    this.#unlink = onAbort(link.signal, () => this.abort());
  }

  #detach(): void {
    this.#unlink?.();
    this.#unlink = undefined;
    this.#link = undefined;
  }

  #wait(): void {
    this.#detach();
    this.#timer = setTimeout(() => this.abort(), this.#waitMs);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#detach();
    this.#abort.abort();
    for (const ask of this.#asks.values()) ask.drop();
    this.#onEnd();
  }
}
