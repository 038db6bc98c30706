/** One HTTP request to /mcp as the MCP SDK wants it, and its Response as it goes back to the main thread. Agent threads. */
import { onAbort, pending } from '../../../src/shared/abort.js';
import { errorToData, FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import type { McpAnswer, McpExchange, McpStreamPart } from '../contract/mcp.js';

/** What of the SDK's headers a client needs; the front sets its own. */
const PASSED_ON = new Set(['content-type', 'mcp-session-id', 'allow', 'x-accel-buffering']);

export interface ExchangeHost {
  /** Resolves when the client takes more. Rejects when it does not in time. */
  stream(part: McpStreamPart): Promise<{ open: boolean }>;
  maxUnsentBytes: number;
  log: Logger;
}

export class HttpExchange {
  readonly user: string;
  readonly session: string;
  readonly by: McpExchange['by'];
  readonly method: McpExchange['method'];
  readonly headers: Readonly<Record<string, string>>;
  /** The body's JSON; undefined when there is none, or it is none. */
  readonly json: unknown;
  readonly request: Request;
  readonly #id: string;
  readonly #host: ExchangeHost;
  readonly #abort = new AbortController();
  readonly #answered = pending<void>();

  constructor(from: McpExchange, host: ExchangeHost) {
    this.#id = from.exchange;
    this.#host = host;
    this.user = from.user;
    this.session = from.session;
    this.by = from.by;
    this.method = from.method;
    this.headers = from.headers;
    this.json = parse(from.body);
    this.request = new Request('http://fairlead/mcp', {
      method: from.method,
      headers: from.headers,
      signal: this.#abort.signal,
      ...(from.method === 'POST' ? { body: from.body } : {}),
    });
  }

  /** Aborts when the client has gone. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** It waits for news, with no end of its own. */
  get endless(): boolean {
    return this.method === 'GET' || (this.json as { method?: unknown } | undefined)?.method === 'subscriptions/listen';
  }

  abort(): void {
    this.#abort.abort();
  }

  /** Resolves when the answer has gone to the main thread, or nobody wants it. */
  get answered(): Promise<void> {
    return this.#answered.promise;
  }

  done(): void {
    this.#answered.resolve();
  }

  /** Resolves with the answer, or with null when it has been streamed. ERR_UNAVAILABLE when the client cannot keep up. */
  async answer(response: Response): Promise<McpAnswer | null> {
    const headers = [...response.headers].filter(([name]) => PASSED_ON.has(name));
    if (response.body && response.headers.get('content-type')?.startsWith('text/event-stream')) {
      await this.#stream(response.body, headers);
      return null;
    }
    return { status: response.status, headers, body: await response.text() };
  }

  /**
   * What the SDK writes it writes without asking, so it is read as it comes and waits here, up to the limit; the client is
   * sent one part after the other.
   */
  async #stream(body: ReadableStream<Uint8Array>, headers: [string, string][]): Promise<void> {
    const requestId = requestIdOf(this.json);
    const reader = body.getReader();
    const stopListening = onAbort(
      this.signal,
      () => void reader.cancel().catch(() => undefined), // one that has ended has nothing to cancel
    );
    const queue = new PartQueue(this.#host.maxUnsentBytes, (text) => this.#send(text));
    const decoder = new TextDecoder();
    try {
      await this.#send('', { headers, ...(requestId === undefined ? {} : { requestId }) });
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        queue.push(decoder.decode(part.value, { stream: true }));
      }
      await queue.end();
    } catch (error) {
      this.#host.log.debug({ err: errorToData(error).message }, 'an mcp stream broke off');
      this.abort(); // whatever it was about is nobody's any more
      throw error;
    } finally {
      stopListening();
    }
  }

  async #send(text: string, head?: McpStreamPart['head']): Promise<void> {
    const { open } = await this.#host.stream({ exchange: this.#id, text, ...(head ? { head } : {}) });
    if (!open) this.abort();
  }
}

/** Text that waits for a client that takes one part at a time. */
class PartQueue {
  readonly #max: number;
  readonly #send: (text: string) => Promise<void>;
  #text = '';
  #sending: Promise<void> | undefined;
  #failure: unknown;

  constructor(max: number, send: (text: string) => Promise<void>) {
    this.#max = max;
    this.#send = send;
  }

  /** ERR_UNAVAILABLE when the client is too far behind; what a part before this one failed with. */
  push(text: string): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#text += text;
    if (this.#text.length > this.#max) throw new FairleadError('ERR_UNAVAILABLE', 'the client reads too slowly');
    this.#sending ??= this.#drain();
  }

  async end(): Promise<void> {
    await this.#sending;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #drain(): Promise<void> {
    try {
      while (this.#text !== '') {
        const text = this.#text;
        this.#text = '';
        await this.#send(text);
      }
    } catch (error) {
      this.#failure = error; // told to whoever writes next
    } finally {
      this.#sending = undefined;
    }
  }
}

function parse(body: string): unknown {
  if (body === '') return undefined;
  try {
    return JSON.parse(body);
  } catch {
    return undefined; // the SDK reads it once more, and answers as the protocol wants
  }
}

function requestIdOf(json: unknown): string | number | undefined {
  if (typeof json !== 'object' || json === null || !('id' in json) || !('method' in json)) return undefined;
  const { id } = json;
  return typeof id === 'string' || typeof id === 'number' ? id : undefined;
}
