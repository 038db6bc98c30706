/** One HTTP request to /mcp: a Request for the MCP SDK, whose Response goes back to the main thread. Agent threads. */
import { onAbort, pending } from '../../../src/shared/abort.js';
import { errorToData, FairleadError } from '../../../src/shared/errors.js';
import type { Who } from '../../../src/shared/person.js';
import type { Logger } from '../../../src/shared/log.js';
import { withoutHalves } from '../../../src/shared/to-json.js';
import type { McpAnswer, McpExchange, McpStreamPart } from '../contract/mcp.js';
import { acceptedOf, AnswerInStream, asStream, headerFor, type Accepted } from './accepted.js';
import { readClientMessage } from './client-message.js';

/** The SDK's headers that a client needs. The front sets all others. */
const PASSED_ON = new Set(['content-type', 'mcp-session-id', 'allow', 'x-accel-buffering']);

const STREAM = 'text/event-stream';

export interface ExchangeHost {
  /** Resolves when the client takes more. Rejects when it takes nothing in time. */
  stream(part: McpStreamPart): Promise<{ open: boolean }>;
  maxUnsentBytes: number;
  log: Logger;
}

export class HttpExchange {
  readonly user: string;
  /** With which rights this request comes; another request of the same client may have others. */
  readonly who: Who | undefined;
  readonly session: string;
  readonly by: McpExchange['by'];
  readonly method: McpExchange['method'];
  readonly headers: Readonly<Record<string, string>>;
  /** The body as JSON, without what the SDK would trip over; undefined when it is empty or no JSON. */
  readonly json: unknown;
  readonly request: Request;
  readonly #accepted: Accepted;
  readonly #id: string;
  readonly #host: ExchangeHost;
  readonly #abort = new AbortController();
  readonly #answered = pending<void>();

  constructor(from: McpExchange, host: ExchangeHost) {
    this.#id = from.exchange;
    this.#host = host;
    this.user = from.user;
    this.who = from.who;
    this.session = from.session;
    this.by = from.by;
    this.method = from.method;
    this.headers = from.headers;
    this.json = parse(from.body);
    this.#accepted = acceptedOf(from.headers['accept']);
    const accept = headerFor(this.#accepted, this.endless);
    this.request = new Request('http://fairlead/mcp', {
      method: from.method,
      headers: { ...from.headers, ...(accept === undefined ? {} : { accept }) },
      signal: this.#abort.signal,
      ...(from.method === 'POST' ? { body: from.body } : {}),
    });
  }

  /** Aborts when the client has disconnected. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** A stream of notifications, which ends only when somebody closes it. */
  get endless(): boolean {
    return this.method === 'GET' || (this.json as { method?: unknown } | undefined)?.method === 'subscriptions/listen';
  }

  get takesStream(): boolean {
    return this.#accepted.stream;
  }

  /** Which of its forms an answer to this request may have; undefined when the client takes one of them. */
  get notAcceptable(): string | undefined {
    if (this.method === 'DELETE' || headerFor(this.#accepted, this.endless) !== undefined) return undefined;
    return this.endless ? STREAM : `application/json, ${STREAM} or both`;
  }

  abort(): void {
    this.#abort.abort();
  }

  /** Resolves when the answer has been sent to the main thread, or the client has disconnected. */
  get answered(): Promise<void> {
    return this.#answered.promise;
  }

  done(): void {
    this.#answered.resolve();
  }

  /** Resolves with the answer, or with null when it has been streamed. ERR_UNAVAILABLE when the client cannot keep up. */
  async answer(response: Response): Promise<McpAnswer | null> {
    const headers = [...response.headers].filter(([name]) => PASSED_ON.has(name));
    const { status } = response;
    const { json, stream } = this.#accepted;
    const isStream = response.headers.get('content-type')?.startsWith(STREAM) === true;
    if (response.body && isStream) {
      if (!stream && json && !this.endless) return this.#gather(response.body, headers);
      await this.#stream(response.body, headers);
      return null;
    }
    const body = withoutHalves(await response.text());
    if (json || !stream || !response.ok || body === '') return { status, headers, body };
    return { status, headers: typed(headers, STREAM), body: asStream(body) };
  }

  async #gather(body: ReadableStream<Uint8Array>, headers: [string, string][]): Promise<McpAnswer> {
    const gathered = new AnswerInStream(requestIdOf(this.json));
    const reader = body.getReader();
    const stopListening = onAbort(this.signal, () => void reader.cancel().catch(() => undefined));
    const decoder = new TextDecoder();
    try {
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        gathered.push(decoder.decode(part.value, { stream: true }));
      }
    } finally {
      stopListening();
    }
    gathered.end();
    const { answer } = gathered;
    if (answer === '') throw new FairleadError('ERR_UNAVAILABLE', 'the call ended without an answer');
    return { status: 200, headers: typed(headers, 'application/json'), body: withoutHalves(answer) };
  }

  /**
   * The SDK writes without backpressure, so its output is read as it comes and buffered here, up to the limit. The client is
   * sent one part at a time.
   */
  async #stream(body: ReadableStream<Uint8Array>, headers: [string, string][]): Promise<void> {
    const requestId = requestIdOf(this.json);
    const reader = body.getReader();
    const stopListening = onAbort(
      this.signal,
      () => void reader.cancel().catch(() => undefined), // a body that has ended cannot be cancelled
    );
    const queue = new PartQueue(this.#host.maxUnsentBytes, (text) => this.#send(text));
    const decoder = new TextDecoder();
    try {
      await this.#send('', { headers, ...(requestId === undefined ? {} : { requestId }) });
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        queue.push(withoutHalves(decoder.decode(part.value, { stream: true }))); // a part is a whole event
      }
      await queue.end();
    } catch (error) {
      this.#host.log.debug({ err: errorToData(error).message }, 'an mcp stream broke off');
      this.abort(); // nobody reads the answer any more
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

function typed(headers: readonly [string, string][], type: string): [string, string][] {
  return [...headers.filter(([name]) => name !== 'content-type'), ['content-type', type]];
}

/** Buffers text for a client that takes one part at a time. */
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

  /** ERR_UNAVAILABLE when the client is too far behind; else the error of an earlier part. */
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
      this.#failure = error; // the next push or end throws it
    } finally {
      this.#sending = undefined;
    }
  }
}

function parse(body: string): unknown {
  if (body === '') return undefined;
  try {
    return readClientMessage(JSON.parse(body));
  } catch {
    return undefined; // the SDK parses the body again, and answers with the protocol's error
  }
}

function requestIdOf(json: unknown): string | number | undefined {
  if (typeof json !== 'object' || json === null || !('id' in json) || !('method' in json)) return undefined;
  const { id } = json;
  return typeof id === 'string' || typeof id === 'number' ? id : undefined;
}
