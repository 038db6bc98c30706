/**
 * The SDK's Streamable HTTP transport with what it lacks: a request ends with its stream, a cancelled or answered request
 * closes its stream, and reconnects are rate-limited. Agent threads.
 */
import {
  isJSONRPCErrorResponse,
  isJSONRPCRequest,
  isJSONRPCResultResponse,
  StreamableHTTPClientTransport,
  type AuthProvider,
  type JSONRPCMessage,
  type MessageExtraInfo,
  type OAuthClientProvider,
  type RequestId,
  type Transport,
  type TransportSendOptions,
} from '@modelcontextprotocol/client';
import { backoffMs } from '../../../../src/shared/backoff.js';
import { isServerFault, STREAM_ENDED, type RemoteFailure } from '../../http/failures.js';
import type { StreamHolder } from '../../http/connection-slots.js';
import { isNoPlace, noStream } from '../../http/http.js';
import type { McpFetch } from './mcp-fetch.js';
import { MessageDoor } from './message-door.js';

/** Carries the request's id to our fetch, as the SDK has no other way. Never sent. */
const REQUEST_HEADER = 'fairlead-request';
/** A stream that the server leaves open after the response is closed after this. */
const ANSWERED_MS = 5_000;
const MIN_RECONNECT_MS = 100;
const MAX_RECONNECT_MS = 30_000;

const FIRST_MS = 500;
/** Reconnects without extra delay: two streams may be cut at once, and once more. */
const FREE_RECONNECTS = 4;
const BACKOFF = { firstMs: 2 * FIRST_MS, maxMs: MAX_RECONNECT_MS };

const RECONNECTION = {
  initialReconnectionDelay: FIRST_MS,
  maxReconnectionDelay: MAX_RECONNECT_MS,
  reconnectionDelayGrowFactor: 2,
  maxRetries: 3,
};

export interface HttpTransportOptions {
  url: URL;
  fetch: McpFetch;
  provider?: AuthProvider | OAuthClientProvider;
}

/** A transport that is swept at intervals. */
export interface RemoteTransport extends Transport {
  /** The error with which we ended it or one of its streams; undefined when the server did. */
  readonly failure: RemoteFailure | undefined;
  /** Keeps a stream open for the server's own messages, for as long as possible. */
  listen(): Promise<void>;
  /** Closes streams that are done. */
  sweep(now: number): void;
  /** Ends the session at the server, if there is one. */
  end(): Promise<void>;
}

interface PendingRequest {
  abort: AbortController;
  /** Of a subscription, which has no response but its end. */
  onEnd: (() => void) | undefined;
  /** Not sent yet: it needs a stream beside it, and none is free. */
  waits: boolean;
  /** Its response is a stream of events: its answer may come later. */
  streams?: boolean;
  /** Releases its turn. */
  leave?: () => void;
  answeredAt?: number;
  /** The event id from which its stream would be resumed. */
  lastEvent?: string;
}

/**
 * A legacy server may send its questions on a stream of the session's, and without one they are lost. So such a stream is
 * opened before a tool is called, and stays open until another session needs its slot.
 */
export class HttpTransport implements RemoteTransport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage, extra?: MessageExtraInfo) => void;
  readonly hasPerRequestStream = true;
  failure: RemoteFailure | undefined;
  /** The older protocol's first request has been made. */
  hasInitialized = false;
  readonly #fetch: McpFetch;
  readonly #inner: StreamableHTTPClientTransport;
  readonly #door = new MessageDoor();
  /** Our requests whose streams are open. */
  readonly #pending = new Map<RequestId, PendingRequest>();
  /** Event ids of streams that we have closed: they are not resumed. */
  readonly #closedAt = new Set<string>();
  readonly #reconnects = new Set<NodeJS.Timeout>();
  /** Reconnects since the last message arrived. */
  #reconnectsInVain = 0;
  #closed = false;
  /** The session's own stream. wanted: the next GET opens it. none: the server has no such stream. */
  #stream: 'closed' | 'wanted' | 'open' | 'none' = 'closed';
  #opening: Promise<void> | undefined;
  #isListening = false;
  /** We have closed the stream for another's sake: the SDK must not reopen it. */
  #evicted = false;

  constructor({ url, fetch, provider }: HttpTransportOptions) {
    this.#fetch = fetch;
    this.#inner = new StreamableHTTPClientTransport(url, {
      // The SDK also sends GETs elsewhere, to authorization servers.
      fetch: (to, init = {}) =>
        init.method === 'GET' && String(to) === url.href ? this.#get(to, init) : this.#post(to, init),
      ...(provider ? { authProvider: provider } : {}),
      redirectPolicy: 'follow', // our fetch follows redirects, and checks each
      reconnectionOptions: RECONNECTION,
      reconnectionScheduler: (reconnect, delay, attempt) => this.#schedule(reconnect, delay, attempt),
    });
    this.#inner.onmessage = (message: JSONRPCMessage, extra?: MessageExtraInfo) => this.#receive(message, extra);
    this.#inner.onerror = (error) => this.onerror?.(error);
    this.#inner.onclose = () => this.onclose?.();
  }

  get sessionId(): string | undefined {
    return this.#inner.sessionId;
  }

  start(): Promise<void> {
    return this.#inner.start();
  }

  async send(message: JSONRPCMessage, options: TransportSendOptions = {}): Promise<void> {
    this.#door.noteSent(message);
    if (!isJSONRPCRequest(message)) {
      const sent = this.#inner.send(message, options.headers ? { headers: options.headers } : {});
      await sent.catch((error: unknown) => this.#noteUntaken(message, error));
      if ('method' in message && message.method === 'notifications/cancelled')
        this.#closeStream(message.params?.['requestId']);
      return;
    }
    const { id, method } = message;
    this.hasInitialized ||= method === 'initialize';
    const pending: PendingRequest = {
      abort: new AbortController(),
      onEnd: options.onRequestStreamEnd,
      waits: false,
    };
    this.#pending.set(id, pending);
    // The signal belongs to this request, so that the listener goes with it.
    options.requestSignal?.addEventListener('abort', () => this.#closeStream(id), { once: true });
    try {
      if (method === 'tools/call' && this.sessionId !== undefined) await this.#prepare(pending);
      pending.abort.signal.throwIfAborted();
      await this.#inner.send(message, {
        // Without a signal: the SDK joins it to its own, and Node 20 then keeps it for as long as the connection lives.
        headers: { ...options.headers, [REQUEST_HEADER]: JSON.stringify(id) },
        onresumptiontoken: (token) => (pending.lastEvent = token),
        onRequestStreamEnd: () => this.#ended(id),
      });
      if (pending.answeredAt !== undefined)
        this.#remove(id); // the response was JSON, not a stream
      else if (pending.streams !== true) this.#ended(id); // 202, or JSON that answers nothing: no answer will come
    } catch (error) {
      this.#remove(id);
      throw error;
    }
  }

  setProtocolVersion(version: string): void {
    this.#inner.setProtocolVersion(version);
  }

  async listen(): Promise<void> {
    this.#isListening = true;
    await this.#openStream();
  }

  sweep(now: number): void {
    for (const [id, { answeredAt }] of this.#pending) {
      if (answeredAt !== undefined && now - answeredAt >= ANSWERED_MS) this.#closeStream(id);
    }
  }

  end(): Promise<void> {
    return this.#inner.terminateSession();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of this.#reconnects) clearTimeout(timer);
    this.#reconnects.clear();
    for (const [id, { abort }] of this.#pending) {
      this.#remove(id);
      abort.abort();
    }
    await this.#inner.close();
  }

  /** Nothing waits for the answer to this notification: a server that fails at it may still answer requests. */
  #noteUntaken(message: JSONRPCMessage, error: unknown): void {
    const isStart = 'method' in message && message.method === 'notifications/initialized';
    if (!isStart || !isServerFault(error)) throw error;
    this.onerror?.(error as Error);
  }

  /** Waits until the session's stream can be open beside the call, and opens it. */
  async #prepare(pending: PendingRequest): Promise<void> {
    if (this.#stream === 'none') return;
    pending.waits = true;
    pending.leave = await this.#fetch.acquireTurn(pending.abort.signal);
    pending.waits = false;
    if (pending.abort.signal.aborted) pending.leave();
    else await this.#openStream();
  }

  /** Never rejects: the call may succeed without a stream. */
  async #openStream(): Promise<void> {
    if (this.#stream === 'open' || this.#stream === 'none') return;
    this.#opening ??= this.#tryStream().finally(() => (this.#opening = undefined));
    await this.#opening;
  }

  get #isIdle(): boolean {
    return !this.#isListening && [...this.#pending.values()].every(({ waits }) => waits);
  }

  async #tryStream(): Promise<void> {
    this.#stream = 'wanted';
    try {
      await this.#inner.resumeStream(''); // no event id: a new stream
    } catch (error) {
      this.#stream = 'closed';
      this.onerror?.(error as Error);
    }
  }

  async #post(url: string | URL, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    const id = headers.get(REQUEST_HEADER);
    headers.delete(REQUEST_HEADER);
    const onFailure = (failure: RemoteFailure): void => this.#fail(failure);
    if (id === null) return this.#fetch.fetch(url, { ...init, headers }, { onFailure });
    const request = JSON.parse(id) as RequestId;
    const pending = this.#pending.get(request);
    const signal = pending?.abort.signal ?? AbortSignal.abort();
    const answer = await this.#fetch.fetch(url, { ...init, headers, signal }, { slot: 'call', onFailure });
    const response = await this.#door.admit(answer, request);
    if (pending) pending.streams = /text\/event-stream/i.test(response.headers.get('content-type') ?? '');
    return response;
  }

  /** The SDK opens a stream: the session's own, or the rest of a call's stream that was cut. */
  async #get(url: string | URL, init: RequestInit): Promise<Response> {
    const lastEvent = new Headers(init.headers).get('last-event-id') ?? undefined;
    if (lastEvent !== undefined && this.#closedAt.delete(lastEvent)) return noStream();
    const [id, call] =
      [...this.#pending].find(([, each]) => lastEvent !== undefined && each.lastEvent === lastEvent) ?? [];
    const ofCall = call !== undefined;
    const isWanted = !this.#isIdle || this.#stream === 'wanted';
    if (!isWanted || (!ofCall && this.#stream === 'none')) return noStream();
    const holder: StreamHolder = {
      isIdle: () => this.#isIdle,
      onEvict: () => (this.#evicted = true),
      onEnd: () => {
        if (!ofCall) this.#stream = 'closed';
      },
    };
    const onFailure = (failure: RemoteFailure): void => this.#fail(failure);
    const signal = ofCall ? call.abort.signal : init.signal;
    const response = await this.#fetch.fetch(
      url,
      { ...init, ...(signal ? { signal } : {}) },
      { slot: 'stream', holder, waits: ofCall, onFailure },
    );
    if (!ofCall)
      this.#stream = response.ok ? 'open' : response.status === 405 && !isNoPlace(response) ? 'none' : 'closed';
    return this.#door.admit(response, id);
  }

  #receive(passed: JSONRPCMessage, extra?: MessageExtraInfo): void {
    const message = this.#door.take(passed);
    if (!message) return;
    this.#reconnectsInVain = 0;
    if (isJSONRPCResultResponse(message) || isJSONRPCErrorResponse(message)) {
      const pending = message.id === undefined ? undefined : this.#pending.get(message.id);
      if (pending) pending.answeredAt ??= performance.now();
    }
    this.onmessage?.(message, extra);
  }

  /** Its stream has ended and is not resumed: without a response so far, none will come. */
  #ended(id: RequestId): void {
    const pending = this.#remove(id);
    if (!pending) return;
    if (pending.onEnd) return pending.onEnd();
    if (pending.answeredAt !== undefined) return;
    const error = { code: -32000, message: 'the stream ended before its answer', data: this.failure ?? STREAM_ENDED };
    this.onmessage?.({ jsonrpc: '2.0', id, error });
  }

  #closeStream(id: unknown): void {
    const pending = this.#remove(id as RequestId);
    if (!pending) return;
    if (pending.lastEvent !== undefined && pending.answeredAt === undefined) this.#closedAt.add(pending.lastEvent);
    pending.abort.abort();
  }

  #remove(id: RequestId): PendingRequest | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    this.#door.forget(id);
    pending?.leave?.();
    return pending;
  }

  /** A message that was too long would be so again when the stream is resumed. */
  #fail(failure: RemoteFailure): void {
    if (failure.code !== 'ERR_MCP') return; // a cut stream: the SDK resumes it if the server can
    this.failure = failure;
    for (const [id, { answeredAt }] of this.#pending) if (answeredAt === undefined) this.#ended(id);
    void this.close();
  }

  #schedule(reconnect: () => void, delay: number, attempt: number): () => void {
    if (this.#evicted) {
      this.#evicted = false;
      return () => undefined;
    }
    // To the SDK a stream that opens and ends at once is a success, and it would reopen it for ever.
    if (attempt === 0) this.#reconnectsInVain++;
    const beyond = this.#reconnectsInVain - FREE_RECONNECTS;
    const least = beyond > 0 ? backoffMs(beyond, BACKOFF) : MIN_RECONNECT_MS;
    const timer = setTimeout(
      () => {
        this.#reconnects.delete(timer);
        reconnect();
      },
      Math.min(MAX_RECONNECT_MS, Math.max(least, delay)),
    );
    this.#reconnects.add(timer);
    return () => {
      clearTimeout(timer);
      this.#reconnects.delete(timer);
    };
  }
}
