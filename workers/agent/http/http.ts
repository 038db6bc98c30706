/**
 * HTTP to one server: counts connections and keeps them alive, checks addresses, follows redirects, bounds responses. Its
 * `fetch` goes to the MCP SDK's transports and OAuth client. Agent threads.
 *
 * It uses undici's `request`, since undici's `fetch` follows redirects and decompresses bodies before we can check either.
 */
import { Agent, request, type buildConnector, type Dispatcher } from 'undici';
import { onAbort } from '../../../src/shared/abort.js';
import { proxyRefusal } from '../../../src/shared/proxy-agent.js';
import { NO_PROXIES, type Proxies } from '../../../src/shared/proxies.js';
import { boundedBody, boundedStream, MAX_BODY_BYTES, MAX_ERROR_BYTES } from './body.js';
import { bounded, networkFailure, RemoteFailure } from './failures.js';
import { ConnectionSlots, type SlotKind, type StreamHolder } from './connection-slots.js';
import type { SharedSlots } from './slot-wakes.js';
import { ProxyRoute } from './proxy-route.js';
import { checkUrl, guardedConnect, systemResolve, type OutboundRules, type Resolve } from './outbound.js';

const MAX_REDIRECTS = 5;
const KEEP_ALIVE_MS = 20_000;
/** Redirects may lead to so many origins in all. */
const MAX_ORIGINS = 20;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const NO_BODY = new Set([204, 205, 304]);
/** A GET that is redirected to another origin keeps these headers only. */
const HEADERS_FOR_ALL = ['accept', 'accept-encoding', 'mcp-protocol-version'];

export interface SafeHttpOptions {
  /** The server's name in errors. */
  name: string;
  rules: OutboundRules;
  /** Of the process, where `slots` are shared. */
  maxConnections: number;
  /** Absent: those of this thread alone. */
  slots?: SharedSlots | undefined;
  /** Deadline of control requests and of a stream's headers. A call ends with its caller's signal. */
  timeoutMs: number;
  resolve?: Resolve;
  /** Of the environment; absent: none. */
  proxies?: Proxies;
  /** Called with the milliseconds until the response began. */
  onAnswer?: (ms: number) => void;
}

export interface FetchOptions {
  slot?: SlotKind;
  /** Required for a `stream` slot. */
  holder?: StreamHolder;
  /** The stream resumes a call: when no stream slot is free, it waits for a call slot. */
  waits?: boolean;
  /** Called when a stream breaks off. */
  onFailure?: (failure: RemoteFailure) => void;
}

export class SafeHttp {
  readonly #options: SafeHttpOptions;
  #agent: Agent;
  /** Agents that open no connection any more, until their last exchange has ended. */
  readonly #retired = new Set<Agent>();
  readonly #connections: Agent.Options;
  readonly #route: ProxyRoute;
  readonly #slots: ConnectionSlots;

  constructor(options: SafeHttpOptions) {
    const { name, rules, maxConnections, slots, resolve = systemResolve, proxies = NO_PROXIES } = options;
    this.#options = options;
    this.#slots = new ConnectionSlots(name, maxConnections, {
      ...(slots && { shared: slots }),
      closeIdle: () => this.#closeIdle(),
    });
    const connections = {
      connections: Math.max(2, maxConnections),
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxOrigins: MAX_ORIGINS,
      pipelining: 1,
    };
    this.#connections = { ...connections, connect: this.#counted(guardedConnect(rules, resolve)) };
    this.#agent = new Agent(this.#connections);
    this.#route = new ProxyRoute({ proxies, rules, resolve, connections });
  }

  /** What runs goes on, on connections that are closed after it. */
  #closeIdle(): void {
    const old = this.#agent;
    this.#agent = new Agent(this.#connections);
    this.#retired.add(old);
    void old.close().finally(() => this.#retired.delete(old));
  }

  #counted(connect: buildConnector.connector): buildConnector.connector {
    return (options, callback) =>
      connect(options, (...[error, socket]) => {
        if (!socket) return callback(error ?? new Error('there is no connection'), null);
        this.#slots.connected();
        socket.once('close', () => this.#slots.disconnected());
        callback(null, socket);
      });
  }

  /** The global `fetch`, as far as the SDK needs it. Rejects with a RemoteFailure or the signal's reason. */
  readonly fetch = (url: string | URL, init: RequestInit = {}): Promise<Response> => this.exchange(url, init);

  async exchange(
    url: string | URL,
    init: RequestInit,
    { slot = 'control', holder, waits, onFailure }: FetchOptions = {},
  ): Promise<Response> {
    const deadline = new ExchangeDeadline(init.signal);
    try {
      let release = slot === 'stream' ? this.#enterStream(deadline, holder) : undefined;
      if (!release && (slot !== 'stream' || waits)) {
        release = await this.#slots.acquire(slot === 'control' ? slot : 'call', init.signal ?? NEVER);
      }
      if (release) return await this.#inSlot(release, deadline, url, init, slot, onFailure);
    } catch (error) {
      deadline.clear();
      throw error;
    }
    deadline.clear();
    return noStream();
  }

  async #inSlot(
    release: () => void,
    deadline: ExchangeDeadline,
    url: string | URL,
    init: RequestInit,
    slot: SlotKind,
    onFailure: FetchOptions['onFailure'],
  ): Promise<Response> {
    const startedAt = performance.now();
    const leave = (failure?: RemoteFailure): void => {
      deadline.clear();
      setImmediate(release); // in the next turn of the event loop its connection takes another exchange
      if (failure) onFailure?.(failure);
    };
    try {
      if (slot !== 'call') deadline.start(this.#options.timeoutMs);
      const answer = await this.#follow(new URL(url), init, deadline.signal);
      const { statusCode: status, headers, body } = answer;
      this.#options.onAnswer?.(performance.now() - startedAt);
      const type = mediaType(headers['content-type']);
      if (status === 200 && slot !== 'control' && type === 'text/event-stream') {
        deadline.stop();
        const stream = boundedStream(body, {
          onEnd: leave,
          toFailure: (error) => networkFailure(this.#options.name, error),
          tooLong: () => this.#tooLong('an event'),
        });
        return toResponse(answer, stream);
      }
      const ok = status >= 200 && status < 300;
      const bytes = ok
        ? await boundedBody(body, MAX_BODY_BYTES, () => this.#tooLong('an answer'))
        : await boundedBody(body, MAX_ERROR_BYTES);
      leave();
      return toResponse(answer, bytes);
    } catch (error) {
      leave();
      if (init.signal?.aborted) throw init.signal.reason;
      throw networkFailure(this.#options.name, deadline.passed ? this.#late(error) : error);
    }
  }

  /** See ConnectionSlots.acquireTurn. */
  acquireTurn(signal: AbortSignal): Promise<() => void> {
    return this.#slots.acquireTurn(signal);
  }

  /** Aborts running requests. */
  async close(): Promise<void> {
    this.#slots.close();
    await Promise.all([...[this.#agent, ...this.#retired].map((agent) => agent.destroy()), this.#route.close()]);
  }

  #enterStream(deadline: ExchangeDeadline, holder?: StreamHolder): (() => void) | undefined {
    if (!holder) return undefined;
    return this.#slots.tryStream({
      isIdle: () => holder.isIdle(),
      onEnd: () => holder.onEnd(),
      onEvict: () => {
        holder.onEvict();
        deadline.cut();
      },
    });
  }

  async #follow(first: URL, init: RequestInit, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const method = (init.method ?? 'GET').toUpperCase();
    const headers = new Headers(init.headers);
    headers.set('accept-encoding', 'identity'); // the size of a compressed body is unknown
    const body = bodyOf(init.body, headers);
    for (let url = first, followed = 0; ; followed++) {
      checkUrl(url, this.#options.rules);
      const answer = await this.#send(url, { method, headers: Object.fromEntries(headers), body, signal });
      const { statusCode: status, headers: said, body: rest } = answer;
      const packed = said['content-encoding'];
      if (packed !== undefined && packed !== 'identity') {
        await rest.dump();
        throw this.#broken(`answers in the encoding ${bounded(String(packed))}, which it was asked not to`);
      }
      const location = one(said['location']);
      if (!REDIRECTS.has(status) || location === undefined || init.redirect === 'manual') return answer;
      await rest.dump();
      const next = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
      if (!next || next.username !== '' || next.password !== '') throw this.#broken('redirects to no usable address');
      if (init.redirect === 'error' || followed >= MAX_REDIRECTS) {
        throw this.#broken(`redirects more than ${followed} times, at last to ${next.origin}`);
      }
      if (next.origin !== url.origin) {
        if (method !== 'GET') throw this.#broken(moved(next));
        for (const name of Object.keys(Object.fromEntries(headers)))
          if (!HEADERS_FOR_ALL.includes(name)) headers.delete(name);
      } else if (method !== 'GET' && status < 307) throw this.#broken(moved(next));
      url = next;
    }
  }

  async #send(
    url: URL,
    given: { method: string; headers: Record<string, string>; body: string | null; signal: AbortSignal },
  ): Promise<Dispatcher.ResponseData> {
    const options = { ...given, headersTimeout: 0, bodyTimeout: 0 };
    const proxy = this.#route.proxyFor(url);
    if (proxy === undefined) return request(url, { ...options, dispatcher: this.#agent });
    try {
      return await request(url, { ...options, dispatcher: await this.#route.enter(url, proxy) });
    } catch (error) {
      const why = proxyRefusal(error, proxy);
      if (why === undefined) throw error;
      const text = `${this.#options.name} cannot be reached: ${why}`;
      throw new RemoteFailure('ERR_UNAVAILABLE', text, {
        sent: false,
        outage: true,
        retryAfterMs: 5_000,
        cause: error,
      });
    }
  }

  #tooLong(what: string): RemoteFailure {
    return this.#broken(`sent ${what} of more than ${MAX_BODY_BYTES / 1024 / 1024} MB`);
  }

  #broken(text: string): RemoteFailure {
    return new RemoteFailure('ERR_MCP', `${this.#options.name} ${text}`, { sent: true });
  }

  #late(cause: unknown): RemoteFailure {
    const { name, timeoutMs } = this.#options;
    const text = `${name} did not answer within ${timeoutMs} ms`;
    return new RemoteFailure('ERR_UNAVAILABLE', text, { sent: true, outage: true, retryAfterMs: 5_000, cause });
  }
}

const NO_PLACE = 'No place';

/** The response of a server without such a stream, made up by us: the server is not asked. */
export function noStream(): Response {
  return new Response(null, { status: 405, statusText: NO_PLACE });
}

export function isNoPlace({ status, statusText }: Response): boolean {
  return status === 405 && statusText === NO_PLACE;
}

const NEVER = new AbortController().signal;

/** Aborts with the caller's signal, and at its own deadline once started. */
class ExchangeDeadline {
  readonly #abort = new AbortController();
  readonly #leaveCaller: () => void;
  #timer: NodeJS.Timeout | undefined;
  passed = false;

  constructor(caller?: AbortSignal | null) {
    this.#leaveCaller = onAbort(caller ?? undefined, () => this.#abort.abort(caller?.reason));
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  cut(): void {
    this.#abort.abort();
  }

  /** Starts when the request has its slot: waiting for one does not count. */
  start(ms: number): void {
    this.#timer = setTimeout(() => {
      this.passed = true;
      this.#abort.abort();
    }, ms);
  }

  /** Takes the deadline back; the caller's signal still aborts. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  clear(): void {
    this.stop();
    this.#leaveCaller();
  }
}

function moved({ origin, pathname }: URL): string {
  return `has moved to ${bounded(origin + pathname)}: put that into the configuration if it is the server you mean`;
}

function bodyOf(body: RequestInit['body'], headers: Headers): string | null {
  if (body === undefined || body === null) return null;
  if (typeof body === 'string') return body;
  if (!(body instanceof URLSearchParams)) throw new TypeError('only text and forms are sent');
  if (!headers.has('content-type')) headers.set('content-type', 'application/x-www-form-urlencoded;charset=UTF-8');
  return body.toString();
}

function toResponse(
  { statusCode: status, headers }: Dispatcher.ResponseData,
  body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer>,
): Response {
  const all = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    for (const each of Array.isArray(value) ? value : [value]) if (each !== undefined) all.append(name, each);
  }
  if (status < 200 || status > 599) {
    throw new RemoteFailure('ERR_MCP', `HTTP status ${status} means nothing`, { sent: true });
  }
  return new Response(NO_BODY.has(status) ? null : body, { status, headers: all });
}

/** Without parameters, in lower case. */
export function mediaType(header: string | string[] | null | undefined): string {
  return (one(header ?? undefined) ?? '').split(';')[0]!.trim().toLowerCase();
}

function one(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}
