/** The server's HTTP routes for operators and administrators, for the command line. Command line's process. */
import { z } from 'zod';
import { EXPORT_IDLE_MS } from '../export/export-command.js';
import { HttpApi } from '../http-api.js';

/** To end a session may save its workspace, and to delete waits for its turn to stop. */
const LONG_MS = 160_000;

const sessionSchema = z.object({
  session: z.string(),
  user: z.string(),
  model: z.string(),
  createdAt: z.number(),
  lastActiveAt: z.number(),
  turns: z.number(),
  historyBytes: z.number().optional(),
  messages: z.number().optional(),
  running: z.boolean(),
  queued: z.number(),
  pending: z.number(),
  server: z.string(),
});
export type SessionInfo = z.infer<typeof sessionSchema>;

const sessionPage = z.object({ sessions: z.array(sessionSchema), next: z.string().optional() });
export type SessionPage = z.infer<typeof sessionPage>;

const sandboxSchema = z.object({
  sandbox: z.string(),
  state: z.string(),
  session: z.string().optional(),
  user: z.string().optional(),
  server: z.string(),
  image: z.string(),
  leasedAt: z.number().optional(),
  memoryBytes: z.number().optional(),
  maxMemoryBytes: z.number().optional(),
});
export type SandboxInfo = z.infer<typeof sandboxSchema>;

const sandboxPage = z.object({ sandboxes: z.array(sandboxSchema), next: z.string().optional() });
export type SandboxPage = z.infer<typeof sandboxPage>;

const blockedSchema = z.object({ since: z.number(), by: z.string(), reason: z.string().optional() });

const userSchema = z.object({
  user: z.string(),
  sockets: z.number(),
  tokens: z.number(),
  sessions: z.number(),
  workspaceBytes: z.number(),
  historyBytes: z.number(),
  lastSeenAt: z.number().optional(),
  usage: z
    .object({ inputTokens: z.number(), outputTokens: z.number(), amount: z.number(), currency: z.string() })
    .optional(),
  blocked: blockedSchema.optional(),
  deleting: z.object({ since: z.number(), by: z.string() }).optional(),
});
export type UserFacts = z.infer<typeof userSchema>;

const listedUserSchema = z.object({
  user: z.string(),
  sessions: z.number(),
  sockets: z.number(),
  tokens: z.number(),
  lastSeenAt: z.number().optional(),
  blocked: blockedSchema.optional(),
  deleting: z.object({ since: z.number(), by: z.string() }).optional(),
});
export type ListedUser = z.infer<typeof listedUserSchema>;

const userPage = z.object({ users: z.array(listedUserSchema), next: z.string().optional() });
export type UserPage = z.infer<typeof userPage>;

const erasedSchema = z.object({
  user: z.string(),
  deleted: z.boolean(),
  sessions: z.number(),
  tokens: z.number(),
  problem: z.string().optional(),
});
export type Erased = z.infer<typeof erasedSchema>;

const drainSchema = z.object({
  draining: z.boolean(),
  since: z.number().optional(),
  turns: z.number(),
  calls: z.number(),
  connections: z.number(),
});
export type DrainInfo = z.infer<typeof drainSchema>;

/** Absent fields are not sent. */
export type Query = Record<string, string | number | undefined>;

export class AdminApi {
  readonly #http: HttpApi;

  constructor(base: string, token: string | undefined) {
    this.#http = new HttpApi(base, token);
  }

  sessions(query: Query): Promise<SessionPage> {
    return this.#http.ask(`/v1/admin/sessions${textOf(query)}`, sessionPage);
  }

  /** ERR_NO_SUCH_SESSION. */
  session(id: string): Promise<SessionInfo> {
    return this.#http.ask(sessionPath(id), sessionSchema);
  }

  async endSession(id: string): Promise<void> {
    await this.#http.ask(`${sessionPath(id)}/end`, z.unknown(), { method: 'POST', body: {}, timeoutMs: LONG_MS });
  }

  async deleteSession(id: string): Promise<void> {
    await this.#http.ask(sessionPath(id), z.unknown(), { method: 'DELETE', timeoutMs: LONG_MS });
  }

  sandboxes(query: Query): Promise<SandboxPage> {
    return this.#http.ask(`/v1/admin/sandboxes${textOf(query)}`, sandboxPage, { timeoutMs: 15_000 });
  }

  /** Whether its files were saved. ERR_NOT_FOUND, ERR_SANDBOX. */
  endSandbox(id: string, discard: boolean): Promise<{ sandbox: string; saved: boolean }> {
    const answer = z.object({ sandbox: z.string(), saved: z.boolean() });
    const path = `/v1/admin/sandboxes/${encodeURIComponent(id)}/end`;
    return this.#http.ask(path, answer, { method: 'POST', body: { discard }, timeoutMs: LONG_MS });
  }

  /** Whether this server drains; POST begins that, DELETE ends it. */
  drain(method: 'GET' | 'POST' | 'DELETE'): Promise<DrainInfo> {
    return this.#http.ask('/v1/admin/drain', drainSchema, { method, ...(method === 'POST' && { body: {} }) });
  }

  users(query: Query): Promise<UserPage> {
    return this.#http.ask(`/v1/admin/users${textOf(query)}`, userPage, { timeoutMs: 35_000 });
  }

  /** ERR_NOT_FOUND: there is nothing of them. */
  user(name: string): Promise<UserFacts> {
    return this.#http.ask(userPath(name), userSchema, { timeoutMs: 35_000 });
  }

  /** `deleted` false: it goes on, and the same again tells when it is done. ERR_NOT_FOUND. */
  deleteUser(name: string): Promise<Erased> {
    return this.#http.ask(userPath(name), erasedSchema, { method: 'DELETE', timeoutMs: 60_000 });
  }

  /** A tar. ERR_FORBIDDEN without `auth.support`, ERR_NOT_FOUND. */
  exportUser(name: string): AsyncGenerator<Uint8Array> {
    return this.#http.download(`${userPath(name)}/export`, EXPORT_IDLE_MS);
  }

  /** How many connections were closed at the server that was asked. */
  async kick(user: string): Promise<number> {
    const answer = z.object({ closed: z.number() });
    return (await this.#http.ask(`${userPath(user)}/kick`, answer, { method: 'POST', body: {} })).closed;
  }
}

function sessionPath(id: string): string {
  return `/v1/admin/sessions/${encodeURIComponent(id)}`;
}

function userPath(user: string): string {
  return `/v1/admin/users/${encodeURIComponent(user)}`;
}

function textOf(query: Query): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  const text = new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)])).toString();
  return text === '' ? '' : `?${text}`;
}
