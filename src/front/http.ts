/** One HTTP request and its answer. Prevents what uWebSockets forbids: an answer after an abort, or a second one. Main thread. */
import { STATUS_CODES } from 'node:http';
import { errorToData } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import { httpRequestsTotal } from './front-metrics.js';
import { toProblem } from './problem.js';
import { toJson } from '../shared/to-json.js';

/** What the front needs of a response. uWebSockets' response has it. */
export interface ResponseSocket {
  writeStatus(status: string): unknown;
  writeHeader(name: string, value: string): unknown;
  /** False when the reader is behind; the chunk waits then. */
  write(chunk: string | Uint8Array): boolean;
  end(body?: string | Uint8Array, closeConnection?: boolean): unknown;
  /** Sends a part of a body of `totalSize`: what does not fit now is not sent, and must be given again from the offset on. */
  tryEnd(chunk: string | Uint8Array, totalSize: number): [ok: boolean, done: boolean];
  getWriteOffset(): number;
  endWithoutBody(reportedContentLength?: number, closeConnection?: boolean): unknown;
  close(): unknown;
  /** Reads no more from the connection until `resume`. */
  pause(): unknown;
  resume(): unknown;
  onWritable(handler: (offset: number) => boolean): unknown;
  onAborted(handler: () => void): unknown;
  onData(handler: (chunk: ArrayBuffer, isLast: boolean) => void): unknown;
  cork(write: () => void): unknown;
}

/** A copy, since uWebSockets' request is valid only until its handler returns. */
export interface RequestHead {
  /** Upper case. */
  method: string;
  path: string;
  query: string;
  host: string;
  origin: string;
  authorization: string;
  accept: string;
  acceptEncoding: string;
  ifNoneMatch: string;
  contentType: string;
  contentLength: string;
  /** The body comes in chunks, so its length is unknown until its end. */
  chunked: boolean;
  lastEventId: string;
  /** Only logins to MCP servers use cookies. */
  cookie: string;
  /** MCP's own headers of a request to /mcp, names in lower case. */
  mcp: Record<string, string>;
  /** Of a request for a file's content. */
  conditions?: FileConditions;
  /** `Sec-Fetch-Site`, `-Mode` and `-Dest`, which browsers send and pages cannot change. */
  fetchSite: string;
  fetchMode: string;
  fetchDest: string;
  /** The header by which a proxy says that it passed the request on, or ''. */
  proxiedBy: string;
  /** Whose limits count without credentials: see client-address.ts. */
  address: string;
  /** See request-id.ts. */
  requestId: string;
  /** Why the head is ambiguous: two readers of it could see two requests. */
  malformed?: string;
}

/** Headers as they came, '' where there are none. */
export interface FileConditions {
  range: string;
  ifRange: string;
  ifMatch: string;
  ifNoneMatch: string;
}

export type Header = [name: string, value: string];

/** So much of a refused body is taken and dropped. */
const LINGER_BYTES = 16 * 1024 * 1024;

export class Exchange {
  readonly head: RequestHead;
  readonly #res: ResponseSocket;
  readonly #log: Logger;
  readonly #onClose: (() => void)[] = [];
  #state: 'open' | 'streaming' | 'closed' = 'open';
  /** Of an answer with a known length: its bytes, and what the socket did not take yet with the place where that begins. */
  #sized: { bytes: number; rest?: { chunk: Uint8Array; at: number } } | undefined;
  /** Present while the body waits for its reader. */
  #held: { chunk: ArrayBuffer; isLast: boolean }[] | undefined;
  /** The route's pattern, for the metrics. */
  route = 'other';
  /** Sent with every answer, for CORS. */
  headers: Header[] = [];
  /** The connection ends with the answer. */
  isLast = false;

  constructor(res: ResponseSocket, head: RequestHead, log: Logger) {
    this.#res = res;
    this.head = head;
    this.#log = log;
    res.onAborted(() => this.#closed());
  }

  /** Neither answered nor aborted. */
  get open(): boolean {
    return this.#state !== 'closed';
  }

  /** Calls `handler` once, when the request is answered to the end or aborted; at once if it is already. */
  onClose(handler: () => void): void {
    if (this.open) this.#onClose.push(handler);
    else handler();
  }

  onData(handler: (chunk: ArrayBuffer, isLast: boolean) => void): void {
    const held = this.#held;
    this.#held = undefined;
    this.#res.onData(handler);
    for (const { chunk, isLast } of held ?? []) handler(chunk, isLast);
    if (held && this.open) this.#res.resume();
  }

  /**
   * For a handler that must wait before it knows whether the body is wanted: uWebSockets drops what comes while nobody reads.
   * What has come with the head is kept, and no more is read. Idempotent.
   */
  holdBody(): void {
    if (this.#held) return;
    const held: { chunk: ArrayBuffer; isLast: boolean }[] = [];
    this.#held = held;
    this.#res.onData((chunk, isLast) => held.push({ chunk: chunk.slice(0), isLast }));
    this.#res.pause();
  }

  /** Reads no more of the body until `resumeBody`; pieces that are on their way still come. */
  pauseBody(): void {
    if (this.open) this.#res.pause();
  }

  resumeBody(): void {
    if (this.open) this.#res.resume();
  }

  json(status: number, value: unknown, headers: readonly Header[] = []): void {
    this.answer(status, 'application/json', toJson(value), headers);
  }

  /** Any thrown value as a problem; a stream that has begun ends instead. */
  fail(thrown: unknown, headers: readonly Header[] = []): void {
    const error = errorToData(thrown);
    const { requestId } = this.head;
    if (error.code === 'ERR_INTERNAL') {
      this.#log.error({ requestId, route: this.route, err: error.stack }, 'request failed');
    }
    const { status, body, retryAfter } = toProblem(error, requestId);
    if (this.#state === 'streaming') return this.endStream();
    const retry: Header[] = retryAfter === undefined ? [] : [['Retry-After', String(retryAfter)]];
    // A body over the limit is not read, and its connection is closed. Where the rest is short it is dropped as it comes: closed in
    // the middle of it, TCP takes the answer back, and a proxy in between says 502.
    if (error.code === 'ERR_TOO_LARGE' && !(Number(this.head.contentLength) <= LINGER_BYTES)) this.isLast = true;
    return this.answer(status, 'application/problem+json', body, [...headers, ...retry]);
  }

  empty(status: number, headers: readonly Header[] = []): void {
    this.answer(status, '', undefined, headers);
  }

  answer(status: number, type: string, body: string | Uint8Array | undefined, headers: readonly Header[] = []): void {
    if (this.#state !== 'open') return;
    this.#dropHeld();
    this.#res.cork(() => {
      this.#begin(status, [...(type === '' ? [] : [['Content-Type', type] as Header]), ...headers]);
      // Given no length, and an undefined one becomes 2^63, it writes no Content-Length: a 204 and a 304 have none. Without one a client
      // waits for the body of any other answer until the connection ends.
      if (body === undefined && (status === 204 || status === 304) && !this.isLast) this.#res.endWithoutBody();
      else if (body === undefined) this.#res.endWithoutBody(0, this.isLast);
      else if (this.head.method === 'HEAD') this.#res.endWithoutBody(Buffer.byteLength(body), this.isLast);
      else this.#res.end(body, this.isLast);
    });
    this.#closed();
  }

  /** Begins a chunked 200. Calls `onWritable` when a reader that was behind has caught up. */
  startStream(headers: readonly Header[], onWritable: () => void): void {
    if (this.#state !== 'open') return;
    this.#dropHeld();
    this.#state = 'streaming';
    this.#res.onWritable(() => {
      if (this.open) onWritable();
      return true;
    });
    this.#res.cork(() => this.#begin(200, headers));
  }

  /** False when the reader is behind: this chunk is kept, and the next one should wait. */
  write(chunk: string | Uint8Array): boolean {
    if (this.#state !== 'streaming') return true;
    let ok = true;
    this.#res.cork(() => {
      ok = this.#res.write(chunk);
    });
    return ok;
  }

  /** Begins an answer of exactly `bytes`, at least one. Calls `onWritable` when a reader that was behind has caught up. */
  startSized(status: number, headers: readonly Header[], bytes: number, onWritable: () => void): void {
    if (this.#state !== 'open') return;
    this.#dropHeld();
    this.#state = 'streaming';
    this.#sized = { bytes };
    this.#res.onWritable((offset) => {
      const rest = this.#sized?.rest;
      if (!this.open || !rest) return true;
      if (!this.#trySized(rest.chunk.subarray(offset - rest.at))) return false;
      onWritable();
      return true;
    });
    this.#res.cork(() => this.#begin(status, headers));
  }

  /** False when the reader is behind: the chunk is kept, and must be sent before the next one. The last byte ends the answer. */
  writeSized(chunk: Uint8Array): boolean {
    if (this.#state !== 'streaming' || !this.#sized) return true;
    return this.#trySized(chunk);
  }

  #trySized(chunk: Uint8Array): boolean {
    const sized = this.#sized!;
    const at = this.#res.getWriteOffset();
    let [ok, done] = [false, false];
    this.#res.cork(() => {
      [ok, done] = this.#res.tryEnd(chunk, sized.bytes);
    });
    delete sized.rest;
    if (done) this.#closed();
    else if (!ok) {
      const offset = this.#res.getWriteOffset();
      sized.rest = { chunk: chunk.subarray(offset - at), at: offset };
    }
    return ok || done;
  }

  /** The answer to a HEAD whose GET would have so many bytes. */
  headOnly(status: number, headers: readonly Header[], bytes: number): void {
    if (this.#state !== 'open') return;
    this.#dropHeld();
    this.#res.cork(() => {
      this.#begin(status, headers);
      this.#res.endWithoutBody(bytes, this.isLast);
    });
    this.#closed();
  }

  endStream(): void {
    if (this.#state !== 'streaming') return;
    this.#res.cork(() => this.#res.end());
    this.#closed();
  }

  /** Cuts the connection. */
  cut(): void {
    if (this.open) this.#res.close();
  }

  /** Nobody wants the body: the connection goes on. */
  #dropHeld(): void {
    if (!this.#held) return;
    this.onData(() => undefined);
  }

  #begin(status: number, headers: readonly Header[]): void {
    httpRequestsTotal.inc({ route: this.route, status });
    this.#res.writeStatus(`${status} ${STATUS_CODES[status] ?? 'Client Closed Request'}`);
    const all = [...this.headers, ...headers];
    for (const [name, value] of all) this.#res.writeHeader(name, value);
    this.#res.writeHeader('X-Request-Id', this.head.requestId);
    if (!all.some(([name]) => name === 'Cache-Control')) this.#res.writeHeader('Cache-Control', 'no-store');
    this.#res.writeHeader('X-Content-Type-Options', 'nosniff');
  }

  #closed(): void {
    if (!this.open) return;
    this.#state = 'closed';
    for (const handler of this.#onClose.splice(0)) handler();
  }
}
