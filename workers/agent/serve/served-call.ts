/**
 * One call of an MCP client, whose server may ask the client in the middle. In the newer protocol each question ends the HTTP
 * request; the call waits here for the client's next request while its work goes on. Agent threads.
 */
import type { ClientCapabilities, InputRequest, LoggingLevel, Progress } from '@modelcontextprotocol/server';
import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { cancelled, onAbort, pending } from '../../../src/shared/abort.js';
import { FairleadError } from '../../../src/shared/errors.js';

/** Limit of questions that are open at once. */
const MAX_OPEN = 10;
/** How often one call may ask its client, including questions that are repeated because the answer did not fit. */
const MAX_ROUNDS = 20;

/** The client's open request for the call. */
export interface CallLink {
  signal: AbortSignal;
  capabilities: ClientCapabilities;
  /** The level from which the client wants the server's log; undefined for no log. */
  logLevel: LoggingLevel | undefined;
  onProgress(progress: Progress): void;
  onLog(entry: LogEntry): void;
  /**
   * Asks the client at once, in the older protocol. In the newer one the question is the answer to the request. Resolves with an
   * UnfitResponse for what breaks the protocol's schema; rejects when there is none.
   */
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
  /** The server's name for the question; undefined lets the call choose one. */
  key: string | undefined;
  request: InputRequest;
  /** Reads a response, which is untrusted; undefined when it does not fit and must be asked for again. */
  read: (response: unknown) => T | undefined;
  /** Returns, or throws, what stands for an answer that does not come. */
  unanswered: () => T;
  signal: AbortSignal;
  /** Accepts a response that came with the request, before the question: a client may know what the server wants. */
  early?: boolean;
}

/** A response that breaks the protocol's schema: the client meant something, so it is not taken for silence. */
export class UnfitResponse {
  readonly problem: string;

  constructor(problem: string) {
    this.problem = problem;
  }
}

interface Ask {
  request: InputRequest;
  /** Returns false when the response does not fit. */
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

  /** `waitMs` bounds the wait for the client's next request. `onEnd` is called once. */
  constructor(options: { waitMs: number; onEnd: () => void }) {
    this.#waitMs = options.waitMs;
    this.#onEnd = options.onEnd;
  }

  /** Aborts when the call ends, for any reason. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Counts how often the call has asked its client. */
  get round(): number {
    return this.#round;
  }

  /** True while the client has no request open for the call. */
  get waiting(): boolean {
    return this.#link === undefined;
  }

  /** As the newest request declares them. */
  get capabilities(): ClientCapabilities {
    return this.#capabilities;
  }

  /** See CallLink. */
  get logLevel(): LoggingLevel | undefined {
    return this.#link?.logLevel;
  }

  /** Called once. `offered` holds responses that came with the request, for questions that the server may ask. */
  start(link: CallLink, offered: Record<string, unknown> | undefined, work: () => Promise<Result>): void {
    this.#attach(link);
    this.#offered = { ...offered };
    work().then(
      (result) => this.#settle({ result }),
      (error: unknown) => this.#settle({ error }),
    );
  }

  /** The client has sent its next request. Responses that fit are taken, the others are asked for again. */
  resume(link: CallLink, responses: Record<string, unknown>): void {
    this.#attach(link);
    for (const [key, ask] of this.#asks) if (ask.take(responses[key])) this.#asks.delete(key);
  }

  /** Resolves with the result, which ends the call, or with the questions for the client. Rejects with the error of the work. */
  async next(): Promise<ServedReply> {
    let wanted = false;
    try {
      for (;;) {
        if (this.#outcome === undefined && this.#asks.size === 0) {
          await new Promise<void>((resolve) => (this.#wake = resolve));
        }
        // Questions that a server asks together arrive in one turn of the event loop; the client gets them in one answer.
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

  /** Asks the client. ERR_MCP when too many questions are open. */
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

  /** Aborts the work; `next` rejects with ERR_CANCELLED. */
  abort(): void {
    this.#settle({ error: cancelled() });
    if (this.waiting) this.#end();
  }

  /** A response that `read` knows nothing of, or an error, counts as no answer. */
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
