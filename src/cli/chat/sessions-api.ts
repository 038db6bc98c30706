/** The HTTP routes that the chat uses beside its socket: the list of sessions and a session's transcript. Command line's process. */
import { z } from 'zod';
import type { TranscriptEntry } from '../../shared/protocol.js';
import { HttpApi } from '../http-api.js';

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

export interface OwnSession {
  session: string;
  title: string;
  /** ms since the epoch; undefined where the server does not say. */
  lastActiveAt: number | undefined;
}

export class SessionsApi {
  readonly #http: HttpApi;

  constructor(base: string, token: string | undefined) {
    this.#http = new HttpApi(base, token);
  }

  /** The first page of the user's sessions, newest first. */
  async list(): Promise<OwnSession[]> {
    const { sessions } = await this.#http.ask('/v1/sessions', sessionsSchema);
    return sessions.map(({ session, title, lastActiveAt }) => {
      const at = lastActiveAt === undefined ? undefined : new Date(lastActiveAt).getTime();
      return { session, title, lastActiveAt: at };
    });
  }

  async transcript(session: string): Promise<TranscriptEntry[]> {
    return (await this.#http.ask(`/v1/sessions/${encodeURIComponent(session)}/history`, historySchema)).transcript;
  }
}
