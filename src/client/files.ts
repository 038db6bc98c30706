/** `fairlead/client/files`: the files of a session's workspace, in a page and in Node. docs/client.md. */
import { parseAddress } from './address.js';
import { ClientError } from './client-error.js';
import { pageOrigin } from './page.js';
import { problemOf } from './problem.js';
import { readToken, type Token } from './token.js';

/** A sandbox may have to start, and get its saved files, before the answer. */
const DEADLINE_MS = 180_000;

/** What it needs of `fetch`, so that a program may give its own. */
export type Fetch = (url: string, init: FetchInit) => Promise<FetchAnswer>;

export interface FetchInit {
  method: string;
  headers: Record<string, string>;
  signal: AbortSignal;
  body?: FileContent;
  /** Of a stream that is sent. */
  duplex?: 'half';
}

export interface FetchAnswer {
  ok: boolean;
  status: number;
  headers: { get: (name: string) => string | null };
  body: ReadableStream<Uint8Array> | null;
  json: () => Promise<unknown>;
}

export interface FilesOptions {
  /** As of `Fairlead`. */
  url?: string | undefined;
  token?: Token;
  session: string;
  /** The MCP server whose workspace is meant; absent: the first that has one. */
  server?: string | undefined;
  fetch?: Fetch | undefined;
}

export interface FileInfo {
  /** From the workspace, on one line: an odd name stands in quotes with escapes, and is taken back so. */
  path: string;
  type: 'file' | 'folder' | 'link' | 'other';
  size: number;
  /** ms since the epoch. */
  mtimeMs: number;
  etag?: string;
}

export interface FilePage {
  files: FileInfo[];
  /** The `after` of the next page. */
  next?: string;
  /** They are those of the save: the workspace has no sandbox now. */
  savedAt?: number;
  server: string;
}

export interface WrittenFile {
  path: string;
  size: number;
  mtimeMs: number;
  etag: string;
}

/** A stream is sent as it comes, which browsers do over HTTP/2 alone. */
export type FileContent = string | Blob | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;

export interface Download {
  /** It must be read or cancelled. It fails where the connection was cut. */
  body: ReadableStream<Uint8Array>;
  /** Absent: known at its end. */
  size: number | undefined;
  etag: string | undefined;
}

interface Ask {
  query?: Record<string, string | number | boolean | undefined>;
  headers?: Record<string, string | undefined>;
  body?: FileContent | undefined;
  /** No deadline of its own: it takes as long as its bytes. */
  isLong?: boolean;
  signal?: AbortSignal | undefined;
}

export class Files {
  readonly #base: string;
  readonly #token: Token;
  readonly #server: string | undefined;
  readonly #fetch: Fetch;

  constructor({ url = pageOrigin(), token, session, server, fetch: own }: FilesOptions) {
    this.#base = `${parseAddress(url ?? '').http}/v1/sessions/${encodeURIComponent(session)}/files`;
    this.#token = token;
    this.#server = server;
    this.#fetch = own ?? ((where, init) => fetch(where, init));
  }

  /** One page of a folder. */
  async list(
    path = '',
    { recursive, limit, after }: { recursive?: boolean; limit?: number; after?: string } = {},
  ): Promise<FilePage> {
    return (await (await this.#ask('GET', '', { query: { path, recursive, limit, after } })).json()) as FilePage;
  }

  /** All of a folder and what is below it, page by page. */
  async *walk(path = ''): AsyncGenerator<FileInfo, void> {
    for (let after: string | undefined = ''; after !== undefined;) {
      const page: FilePage = await this.list(path, { recursive: true, limit: 1_000, ...(after && { after }) });
      yield* page.files;
      after = page.next;
    }
  }

  /** `from`, `length`: a part of it. */
  async read(
    path: string,
    { from = 0, length, signal }: { from?: number; length?: number; signal?: AbortSignal } = {},
  ): Promise<Download> {
    const isPart = from > 0 || length !== undefined;
    const range = isPart ? `bytes=${from}-${length === undefined ? '' : from + length - 1}` : undefined;
    return download(await this.#ask('GET', '/content', { query: { path }, headers: { range }, isLong: true, signal }));
  }

  /**
   * Whole or not at all. `size`: of a stream whose length is known, so that what does not fit is refused at once. `ifMatch`: only
   * instead of that version; `isNew`: only where nothing is. ERR_FILE_CHANGED, ERR_NO_SPACE.
   */
  async write(
    path: string,
    content: FileContent,
    { size, ifMatch, isNew, signal }: { size?: number; ifMatch?: string; isNew?: boolean; signal?: AbortSignal } = {},
  ): Promise<WrittenFile> {
    const headers = {
      'content-type': 'application/octet-stream',
      'content-length': size === undefined ? undefined : String(size),
      'if-match': ifMatch,
      'if-none-match': isNew === true ? '*' : undefined,
    };
    const own = new AbortController();
    const stop = (): void => own.abort(signal?.reason);
    if (signal?.aborted === true) stop();
    signal?.addEventListener('abort', stop, { once: true });
    const body = content instanceof ReadableStream ? stoppable(content, own.signal) : content;
    try {
      const ask = { query: { path }, headers, body, isLong: true, signal: own.signal };
      return (await (await this.#ask('PUT', '/content', ask)).json()) as WrittenFile;
    } finally {
      signal?.removeEventListener('abort', stop);
      own.abort(); // an answer that comes early ends the upload
    }
  }

  /** `recursive`: a folder with all that is in it. */
  async remove(path: string, { recursive, ifMatch }: { recursive?: boolean; ifMatch?: string } = {}): Promise<void> {
    await this.#ask('DELETE', '/content', { query: { path, recursive }, headers: { 'if-match': ifMatch } });
  }

  /** What is in the way stays, unless `overwrite` is true. */
  async move(from: string, to: string, { overwrite }: { overwrite?: boolean } = {}): Promise<void> {
    const body = JSON.stringify({ from, to, overwrite });
    await this.#ask('POST', '/move', { headers: { 'content-type': 'application/json' }, body });
  }

  /** A folder, or the whole workspace, as one file. */
  async archive(
    path = '',
    { format = 'tar.gz', signal }: { format?: 'tar.gz' | 'zip'; signal?: AbortSignal } = {},
  ): Promise<Download> {
    return download(await this.#ask('GET', '/archive', { query: { path, format }, isLong: true, signal }));
  }

  async #ask(method: string, route: string, ask: Ask): Promise<FetchAnswer> {
    let answer = await this.#send(method, route, ask, false);
    // What a stream had is gone.
    const canRepeat = !(ask.body instanceof ReadableStream);
    if (answer.status === 401 && typeof this.#token === 'function' && canRepeat) {
      answer = await this.#send(method, route, ask, true);
    }
    if (answer.ok) return answer;
    throw problemOf(answer, await answer.json().catch(() => ({})));
  }

  async #send(
    method: string,
    route: string,
    { query = {}, headers = {}, body, isLong = false, signal }: Ask,
    refused: boolean,
  ): Promise<FetchAnswer> {
    const token = await readToken(this.#token, refused);
    const sent = defined({ ...headers, authorization: token === undefined ? undefined : `Bearer ${token}` });
    const late = new AbortController();
    const stop = (): void => late.abort(signal?.reason);
    if (signal?.aborted === true) stop();
    signal?.addEventListener('abort', stop, { once: true });
    // An upload takes its time, and the server cuts one that stands still.
    const timer = body !== undefined && isLong ? undefined : setTimeout(() => late.abort(), DEADLINE_MS);
    try {
      const where = `${this.#base}${route}?${new URLSearchParams(defined({ ...query, server: this.#server })).toString()}`;
      return await this.#fetch(where, {
        method,
        headers: sent,
        signal: late.signal,
        ...(body !== undefined && { body }),
        ...(body instanceof ReadableStream && { duplex: 'half' }),
      });
    } catch (cause) {
      signal?.throwIfAborted();
      throw new ClientError('ERR_UNAVAILABLE', `${method} ${this.#base}${route} got no answer`, { cause });
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Ends with the signal: Node's fetch goes on reading a stream whose request was given up, to its end. */
function stoppable(source: ReadableStream<Uint8Array>, signal: AbortSignal): ReadableStream<Uint8Array> {
  const reader = source.getReader();
  const stop = (): void => void reader.cancel(signal.reason).catch(() => undefined); // it has failed by itself
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  return new ReadableStream<Uint8Array>(
    {
      pull: async (sink) => {
        const { done, value } = await reader.read();
        if (signal.aborted) sink.error(signal.reason);
        else if (done) sink.close();
        else sink.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

function download({ headers, body }: FetchAnswer): Download {
  const size = headers.get('content-length');
  return {
    body: body ?? new Blob([]).stream(),
    size: size === null ? undefined : Number(size),
    etag: headers.get('etag') ?? undefined,
  };
}

function defined(values: Record<string, string | number | boolean | undefined>): Record<string, string> {
  const all = Object.entries(values).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]]));
  return Object.fromEntries(all) as Record<string, string>;
}
