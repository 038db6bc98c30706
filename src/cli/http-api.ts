/** Calls the server's HTTP routes with a deadline, checks the answers, and throws problems as errors. Command line's process. */
import type { Dispatcher } from 'undici';
import { z } from 'zod';
import type { Fetch } from '../client/files.js';
import { ConfigError } from '../shared/config.js';
import { ERROR_TABLE, FairleadError, type ErrorCode } from '../shared/errors.js';
import { localDispatcher } from './local-tls.js';
import { cutWords, tlsWords } from './tls-words.js';

const DEADLINE_MS = 10_000;

const problemSchema = z.object({
  code: z.string().optional(),
  detail: z.string().optional(),
  title: z.string().optional(),
  problems: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
});

export interface ApiRequest {
  method?: 'GET' | 'POST' | 'DELETE';
  body?: object;
  timeoutMs?: number;
}

interface Asked {
  method?: string;
  headers: Record<string, string>;
  signal: AbortSignal;
  body?: string;
}

/** What Node's own fetch and undici's have in common. */
interface Answer {
  ok: boolean;
  status: number;
  body: AsyncIterable<unknown> | null;
  json(): Promise<unknown>;
}

/** `fetch` for a server of this machine whose certificate is its own, too. */
export function fetchFor(base: string): Fetch {
  let found: Promise<Dispatcher | undefined> | undefined;
  return async (url, init) => {
    const dispatcher = await (found ??= localDispatcher(base));
    if (!dispatcher) return fetch(url, init);
    const { fetch: fetchBy } = await import('undici');
    return fetchBy(url, { ...init, dispatcher });
  };
}

export class HttpApi {
  readonly #base: string;
  readonly #headers: Record<string, string>;
  #dispatcher: Promise<Dispatcher | undefined> | undefined;

  constructor(base: string, token: string | undefined) {
    this.#base = base;
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  /** ERR_UNAVAILABLE when nobody answers, ERR_BAD_FRAME for an answer that does not fit the schema, else the server's code. */
  async ask<T>(
    path: string,
    schema: z.ZodType<T>,
    { method = 'GET', body, timeoutMs = DEADLINE_MS }: ApiRequest = {},
  ): Promise<T> {
    let response: Answer;
    let answer: unknown;
    try {
      response = await this.#fetch(path, {
        method,
        headers: { ...this.#headers, ...(body ? { 'content-type': 'application/json' } : {}) },
        signal: AbortSignal.timeout(timeoutMs),
        ...(body ? { body: JSON.stringify(body) } : {}),
      });
      answer = response.status === 204 ? null : await response.json();
    } catch (error) {
      throw unanswered(error, `${method} ${this.#base}${path}`, this.#base, timeoutMs);
    }
    if (!response.ok) throw problemOf(response.status, answer);
    const parsed = schema.safeParse(answer);
    if (parsed.success) return parsed.data;
    throw new FairleadError('ERR_BAD_FRAME', `${method} ${path}: the answer is not of this protocol`);
  }

  async #fetch(path: string, options: Asked): Promise<Answer> {
    this.#dispatcher ??= localDispatcher(this.#base);
    const dispatcher = await this.#dispatcher;
    if (!dispatcher) return fetch(this.#base + path, options);
    const { fetch: fetchBy } = await import('undici');
    return fetchBy(this.#base + path, { ...options, dispatcher });
  }

  /** The body of a long answer, as it comes. ERR_UNAVAILABLE: it was cut, or nothing has come for `idleMs`. Else the server's code. */
  async *download(path: string, idleMs: number): AsyncGenerator<Uint8Array> {
    const idle = new AbortController();
    const timer = setTimeout(() => idle.abort(new Error(`nothing has come for ${idleMs / 1_000} s`)), idleMs);
    try {
      const response = await this.#fetch(path, { headers: this.#headers, signal: idle.signal });
      if (!response.ok) throw problemOf(response.status, await response.json().catch(() => undefined));
      for await (const chunk of response.body ?? []) {
        timer.refresh();
        yield chunk as Uint8Array;
      }
    } catch (error) {
      if (error instanceof FairleadError) throw error;
      throw unanswered(error, `GET ${this.#base}${path}`, this.#base);
    } finally {
      clearTimeout(timer);
      idle.abort();
    }
  }
}

/** Of `AbortSignal.timeout`. */
export function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError';
}

function unanswered(error: unknown, what: string, base: string, timeoutMs?: number): FairleadError {
  if (timeoutMs !== undefined && isTimeout(error)) {
    const done = what.startsWith('GET ') ? '' : '. It may be done all the same: look, before you ask again';
    const text = `${what}: no answer within ${Math.ceil(timeoutMs / 1_000)} s${done}`;
    return new FairleadError('ERR_UNAVAILABLE', text, { cause: error });
  }
  const { message, cause } = error as Error;
  const { code = (cause as Error | undefined)?.message ?? message } = (cause ?? {}) as NodeJS.ErrnoException;
  const why = tlsWords(error) ?? cutWords(error, base) ?? code;
  return new FairleadError('ERR_UNAVAILABLE', `${what} failed (${why})`, { cause: error });
}

function problemOf(status: number, body: unknown): FairleadError {
  const { data } = problemSchema.safeParse(body);
  if (data?.code === 'ERR_CONFIG' && data.problems) return new ConfigError(data.problems);
  const code = data?.code !== undefined && Object.hasOwn(ERROR_TABLE, data.code) ? data.code : 'ERR_INTERNAL';
  return new FairleadError(code as ErrorCode, data?.detail ?? data?.title ?? `the server answers ${status}`);
}
