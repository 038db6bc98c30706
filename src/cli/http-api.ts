/** Calls the server's HTTP routes with a deadline, checks the answers, and throws problems as errors. Command line's process. */
import { z } from 'zod';
import { ConfigError } from '../shared/config.js';
import { ERROR_TABLE, FairleadError, type ErrorCode } from '../shared/errors.js';
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

export class HttpApi {
  readonly #base: string;
  readonly #headers: Record<string, string>;

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
    let response: Response;
    let answer: unknown;
    try {
      response = await fetch(this.#base + path, {
        method,
        headers: { ...this.#headers, ...(body ? { 'content-type': 'application/json' } : {}) },
        signal: AbortSignal.timeout(timeoutMs),
        ...(body ? { body: JSON.stringify(body) } : {}),
      });
      answer = response.status === 204 ? null : await response.json();
    } catch (error) {
      const { message, cause } = error as Error;
      const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? message;
      const why = tlsWords(error) ?? cutWords(error, this.#base) ?? code;
      throw new FairleadError('ERR_UNAVAILABLE', `${method} ${path} failed (${why})`, { cause: error });
    }
    if (!response.ok) throw problemOf(response.status, answer);
    const parsed = schema.safeParse(answer);
    if (parsed.success) return parsed.data;
    throw new FairleadError('ERR_BAD_FRAME', `${method} ${path}: the answer is not of this protocol`);
  }
}

function problemOf(status: number, body: unknown): FairleadError {
  const { data } = problemSchema.safeParse(body);
  if (data?.code === 'ERR_CONFIG' && data.problems) return new ConfigError(data.problems);
  const code = data?.code !== undefined && Object.hasOwn(ERROR_TABLE, data.code) ? data.code : 'ERR_INTERNAL';
  return new FairleadError(code as ErrorCode, data?.detail ?? data?.title ?? `the server answers ${status}`);
}
