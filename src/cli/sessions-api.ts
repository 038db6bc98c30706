/** The HTTP routes that the chat needs beside its socket: the list of sessions, a session's transcript. */
import { z } from 'zod';
import { ERROR_TABLE, FairleadError, type ErrorCode } from '../errors.js';
import type { TranscriptEntry } from '../protocol.js';

const DEADLINE_MS = 10_000;

const sessionsSchema = z.object({
  sessions: z.array(
    z.object({
      session: z.string(),
      title: z.string().default(''),
      lastActiveAt: z.union([z.number(), z.string()]).optional(),
    }),
  ),
});

const entrySchema = z.object({ role: z.enum(['user', 'assistant']), content: z.array(z.unknown()) });
const historySchema = z.object({ transcript: z.array(entrySchema) });

const problemSchema = z.object({
  code: z.string().optional(),
  detail: z.string().optional(),
  title: z.string().optional(),
});

export interface SessionSummary {
  session: string;
  title: string;
  /** ms since the epoch; undefined where the server does not say. */
  lastActiveAt: number | undefined;
}

export class SessionsApi {
  readonly #base: string;
  readonly #headers: Record<string, string>;

  constructor(base: string, token: string | undefined) {
    this.#base = base;
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  /** The user's sessions, newest first: the first page. */
  async list(): Promise<SessionSummary[]> {
    const { sessions } = await this.#get('/v1/sessions', sessionsSchema);
    return sessions.map(({ session, title, lastActiveAt }) => {
      const at = lastActiveAt === undefined ? undefined : new Date(lastActiveAt).getTime();
      return { session, title, lastActiveAt: at };
    });
  }

  async transcript(session: string): Promise<TranscriptEntry[]> {
    return (await this.#get(`/v1/sessions/${encodeURIComponent(session)}/history`, historySchema)).transcript;
  }

  async #get<T>(path: string, schema: z.ZodType<T>): Promise<T> {
    let response: Response;
    let body: unknown;
    try {
      response = await fetch(this.#base + path, { headers: this.#headers, signal: AbortSignal.timeout(DEADLINE_MS) });
      body = await response.json();
    } catch (error) {
      const { message, cause } = error as Error;
      const why = (cause as NodeJS.ErrnoException | undefined)?.code ?? message;
      throw new FairleadError('ERR_UNAVAILABLE', `GET ${path} failed (${why})`, { cause: error });
    }
    if (!response.ok) throw problem(response.status, body);
    const parsed = schema.safeParse(body);
    if (parsed.success) return parsed.data;
    throw new FairleadError('ERR_BAD_FRAME', `GET ${path}: the answer is not of this protocol`);
  }
}

function problem(status: number, body: unknown): FairleadError {
  const { data } = problemSchema.safeParse(body);
  const code = data?.code !== undefined && Object.hasOwn(ERROR_TABLE, data.code) ? data.code : 'ERR_INTERNAL';
  return new FairleadError(code as ErrorCode, data?.detail ?? data?.title ?? `the server answers ${status}`);
}
