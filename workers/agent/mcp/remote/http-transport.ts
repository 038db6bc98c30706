/**
 * The SDK's Streamable HTTP as we want it: each request ends when its stream does, is let go when it is cancelled or answered,
 * and reconnects at a bounded pace. Agent threads.
 */
import {
  isJSONRPCErrorResponse,
  isJSONRPCRequest,
  isJSONRPCResultResponse,
  PROTOCOL_VERSION_META_KEY,
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
import { STREAM_ENDED, type RemoteFailure } from '../../http/failures.js';
import type { StreamHolder } from '../../http/connection-slots.js';
import { isNoPlace, noStream } from '../../http/http.js';
import type { McpFetch } from './mcp-fetch.js';

/** To our fetch, by which request's id: the SDK has no other way to hand it on. Never sent. */
const REQUEST_HEADER = 'fairlead-exchange';
/** A stream that a server leaves open after its answer is closed after this. */
const ANSWERED_MS = 5_000;
const MIN_RECONNECT_MS = 100;
const MAX_RECONNECT_MS = 30_000;

const FIRST_MS = 500;
/** Two streams may be cut at once, and again. */
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

/** A transport that is asked to look after itself now and then. */
export interface RemoteTransport extends Transport {
  /** What ended it or one of its streams for good, when it was not the server's own doing. */
  readonly failure: RemoteFailure | undefined;
  /** Keeps a stream open for what the server may have to say, for as long as it can. */
  listen(): Promise<void>;
  /** Lets go of streams that are done with. */
  sweep(now: number): void;
  /** Tells the server that the session is over, where there is one. */
  end(): Promise<void>;
}

interface PendingRequest {
  abort: AbortController;
  /** Of a subscription, which has no other answer than its end. */
  onEnd: (() => void) | undefined;
  /** Not sent yet: it needs a stream beside it, and too many have one. */
  waits: boolean;
  /** It was asked in the newer era, in which a result says of which kind it is. */
  isModern: boolean;
  /** Gives its turn to the next. */
  leave?: () => void;
  answeredAt?: number;
  /** Of its stream: what it would be taken up from. */
  lastEvent?: string;
}

/**
 * A legacy server may put its questions on a stream of their own, and where there is none they are lost: so one is open
 * before a tool is called. It stays open until somebody else needs it more.
 */
export class HttpTransport implements RemoteTransport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage, extra?: MessageExtraInfo) => void;
  readonly hasPerRequestStream = true;
  failure: RemoteFailure | undefined;
  readonly #fetch: McpFetch;
  readonly #inner: StreamableHTTPClientTransport;
  /** Requests of ours whose streams are open. */
  readonly #pending = new Map<RequestId, PendingRequest>();
  /** Where streams that we have let go would be taken up: they are not. */
  readonly #letGoAt = new Set<string>();
  readonly #reconnects = new Set<NodeJS.Timeout>();
  /** How often streams were opened again since something arrived. */
  #inVain = 0;
  #closed = false;
  /** wanted: the next GET is for it. none: the server has no such stream. */
  #stream: 'closed' | 'wanted' | 'open' | 'none' = 'closed';
  #opening: Promise<void> | undefined;
  #isListening = false;
  /** It was ended by us: the SDK must not open it again. */
  #evicted = false;

  constructor({ url, fetch, provider }: HttpTransportOptions) {
    this.#fetch = fetch;
    this.#inner = new StreamableHTTPClientTransport(url, {
      // A GET elsewhere is the SDK's, on its way to an authorization server.
      fetch: (to, init = {}) =>
        init.method === 'GET' && String(to) === url.href ? this.#get(to, init) : this.#post(to, init),
      ...(provider ? { authProvider: provider } : {}),
      redirectPolicy: 'follow', // by our fetch, which judges each
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
    if (!isJSONRPCRequest(message)) {
      await this.#inner.send(message, options.headers ? { headers: options.headers } : {});
      if ('method' in message && message.method === 'notifications/cancelled')
        this.#letGo(message.params?.['requestId']);
      return;
    }
    const { id, method, params } = message;
    const isModern = params?._meta?.[PROTOCOL_VERSION_META_KEY] !== undefined;
    const pending: PendingRequest = {
      abort: new AbortController(),
      onEnd: options.onRequestStreamEnd,
      waits: false,
      isModern,
    };
    this.#pending.set(id, pending);
    // The request's own signal, so it goes with the request: no listener stays behind.
    options.requestSignal?.addEventListener('abort', () => this.#letGo(id), { once: true });
    try {
      if (method === 'tools/call' && this.sessionId !== undefined) await this.#prepare(pending);
      pending.abort.signal.throwIfAborted();
      await this.#inner.send(message, {
        // Not with a signal: the SDK joins it to its own, which Node 20 then holds for as long as the connection lives.
        headers: { ...options.headers, [REQUEST_HEADER]: JSON.stringify(id) },
        onresumptiontoken: (token) => (pending.lastEvent = token),
        onRequestStreamEnd: () => this.#ended(id),
      });
      if (pending.answeredAt !== undefined) this.#remove(id); // it was one piece of JSON
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
      if (answeredAt !== undefined && now - answeredAt >= ANSWERED_MS) this.#letGo(id);
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

  /** Waits until there is a stream to be had beside the call, and has it. */
  async #prepare(pending: PendingRequest): Promise<void> {
    if (this.#stream === 'none') return;
    pending.waits = true;
    pending.leave = await this.#fetch.acquireTurn(pending.abort.signal);
    pending.waits = false;
    if (pending.abort.signal.aborted) pending.leave();
    else await this.#openStream();
  }

  /** Never rejects: without it the call may do as well. */
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
      await this.#inner.resumeStream(''); // from nowhere: a new one
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
    const pending = this.#pending.get(JSON.parse(id) as RequestId);
    const signal = pending?.abort.signal ?? AbortSignal.abort();
    return this.#fetch.fetch(url, { ...init, headers, signal }, { slot: 'call', onFailure });
  }

  /** The SDK wants a stream: that of the session, or what is left of a call's that was cut. */
  async #get(url: string | URL, init: RequestInit): Promise<Response> {
    const lastEvent = new Headers(init.headers).get('last-event-id') ?? undefined;
    if (lastEvent !== undefined && this.#letGoAt.delete(lastEvent)) return noStream();
    const call = [...this.#pending.values()].find((each) => lastEvent !== undefined && each.lastEvent === lastEvent);
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
    return response;
  }

  #receive(message: JSONRPCMessage, extra?: MessageExtraInfo): void {
    this.#inVain = 0;
    if (isJSONRPCResultResponse(message) || isJSONRPCErrorResponse(message)) {
      const pending = message.id === undefined ? undefined : this.#pending.get(message.id);
      if (pending) pending.answeredAt ??= performance.now();
      // One that does not say its kind is complete (SEP-2322); the SDK would refuse it.
      if (pending?.isModern && isJSONRPCResultResponse(message)) message.result['resultType'] ??= 'complete';
    }
    this.onmessage?.(message, extra);
  }

  /** Its stream is over, and will not be resumed: without an answer there will be none. */
  #ended(id: RequestId): void {
    const pending = this.#remove(id);
    if (!pending) return;
    if (pending.onEnd) return pending.onEnd();
    if (pending.answeredAt !== undefined) return;
    const error = { code: -32000, message: 'the stream ended before its answer', data: this.failure ?? STREAM_ENDED };
    this.onmessage?.({ jsonrpc: '2.0', id, error });
  }

  #letGo(id: unknown): void {
    const pending = this.#remove(id as RequestId);
    if (!pending) return;
    if (pending.lastEvent !== undefined && pending.answeredAt === undefined) this.#letGoAt.add(pending.lastEvent);
    pending.abort.abort();
  }

  #remove(id: RequestId): PendingRequest | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.leave?.();
    return pending;
  }

  /** What was too long once would be so again when it is resumed. */
  #fail(failure: RemoteFailure): void {
    if (failure.code !== 'ERR_MCP') return; // cut off: the SDK resumes it where the server can
    this.failure = failure;
    for (const [id, { answeredAt }] of this.#pending) if (answeredAt === undefined) this.#ended(id);
    void this.close();
  }

  #schedule(reconnect: () => void, delay: number, attempt: number): () => void {
    if (this.#evicted) {
      this.#evicted = false;
      return () => undefined;
    }
    // A stream that opens and ends at once counts as a success to the SDK, which would open it again for ever.
    if (attempt === 0) this.#inVain++;
    const beyond = this.#inVain - FREE_RECONNECTS;
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
