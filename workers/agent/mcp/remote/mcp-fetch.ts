/**
 * The `fetch` of one connection to a `url` server: adds the configuration's headers, and turns responses that are not MCP
 * into errors that say what they are. Agent threads.
 */
import { noteRefused } from '../../http/challenge.js';
import { RemoteFailure } from '../../http/failures.js';
import { isNoPlace, mediaType, type FetchOptions, type SafeHttp } from '../../http/http.js';

const RETRY_AFTER_MS = 5_000;
const MAX_RETRY_AFTER_MS = 600_000;
const BUSY = new Set([429, 502, 503, 504]);

/** Begins like JSON, or like an event, whatever its type says. */
const MESSAGE = /^\uFEFF?\s*(?:[{[]|(?:data|event|id|retry)?:)/;

type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

export interface SseOptions {
  /** Reads the stream before the SDK does. */
  admit: (stream: Response) => Promise<Response>;
  onStreamEnd: (failure?: RemoteFailure) => void;
}

export class McpFetch {
  readonly #server: string;
  readonly #http: SafeHttp;
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(server: string, http: SafeHttp, url: URL, headers: Readonly<Record<string, string>>) {
    this.#server = server;
    this.#http = http;
    this.#url = url;
    this.#headers = headers;
  }

  fetch(url: string | URL, init: RequestInit, options: FetchOptions): Promise<Response> {
    return this.#send(url, { ...init, headers: new Headers(init.headers) }, options);
  }

  /** See ConnectionSlots.acquireTurn. */
  acquireTurn(signal: AbortSignal): Promise<() => void> {
    return this.#http.acquireTurn(signal);
  }

  /** For SSE: all responses come by one stream, whose end is the end of the connection. */
  sse({ admit, onStreamEnd }: SseOptions): Fetch {
    const holder = { isIdle: () => false, onEvict: ignore, onEnd: ignore };
    return async (url, init = {}) => {
      const headers = new Headers(init.headers);
      const isStream = (init.method ?? 'GET') === 'GET';
      if (!isStream) return this.#send(url, { ...init, headers }, {});
      try {
        const response = await this.#send(
          url,
          { ...init, headers },
          { slot: 'stream', holder, onFailure: onStreamEnd },
        );
        if (isNoPlace(response)) throw this.#noneLeft();
        return response.ok ? onEnd(await admit(response), onStreamEnd) : response;
      } catch (error) {
        // Of this error the SDK keeps the text only.
        if (error instanceof RemoteFailure) onStreamEnd(error);
        throw error;
      }
    };
  }

  async #send(url: string | URL, init: RequestInit & { headers: Headers }, options: FetchOptions): Promise<Response> {
    const { origin } = new URL(url);
    // The SDK reaches authorization servers through the same fetch: they must not see these headers.
    if (origin === this.#url.origin) {
      for (const [name, value] of Object.entries(this.#headers))
        if (!init.headers.has(name)) init.headers.set(name, value);
    }
    const response = await this.#http.exchange(url, init, options);
    const { status, headers } = response;
    if (origin !== this.#url.origin) return response;
    if (status === 401) noteRefused(response, init.headers);
    if (BUSY.has(status)) throw this.#busy(response);
    if (response.ok && mediaType(headers.get('content-type')) === 'text/html') {
      const body = await response.text();
      // What some languages call everything that they send.
      if (MESSAGE.test(body)) return new Response(body, { status, headers });
      const text = `${this.#server} answers with a web page, not with MCP: check its url`;
      throw new RemoteFailure('ERR_MCP', text, { sent: true });
    }
    return response;
  }

  #noneLeft(): RemoteFailure {
    const text = `${this.#server} speaks SSE, one stream for each session, and all of its streams are in use`;
    return new RemoteFailure('ERR_UNAVAILABLE', text, { sent: false, retryAfterMs: RETRY_AFTER_MS });
  }

  #busy({ status, headers }: Response): RemoteFailure {
    const why = status === 429 ? 'has had too many requests' : 'is not available';
    const waitMs = retryAfterMs(headers.get('retry-after'));
    return new RemoteFailure('ERR_UNAVAILABLE', `${this.#server} ${why} (HTTP ${status})`, {
      sent: true,
      outage: status !== 429,
      retryAfterMs: waitMs ?? RETRY_AFTER_MS,
      ...(waitMs === undefined ? {} : { waitMs }),
    });
  }
}

/** A Retry-After header holds seconds or a date. */
export function retryAfterMs(header: string | null): number | undefined {
  if (header === null) return undefined;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.min(MAX_RETRY_AFTER_MS, Math.max(0, ms)) : undefined;
}

function ignore(): void {
  // never evicted, and its end is reported by `onStreamEnd`
}

function onEnd(response: Response, tell: () => void): Response {
  const end = new TransformStream<Uint8Array, Uint8Array>({ flush: () => tell() });
  const body = response.body?.pipeThrough(end) ?? null;
  return new Response(body, { status: response.status, headers: response.headers });
}
