/** The server's HTTP routes about tokens and users, for the command line. Command line's process. */
import { z } from 'zod';
import { HttpApi } from '../http-api.js';

const PAGE = 500;

const tokenSchema = z.object({
  id: z.string(),
  user: z.string(),
  role: z.string(),
  groups: z.array(z.string()).default([]),
  note: z.string().optional(),
  createdAt: z.number(),
  createdBy: z.string().default(''),
  expiresAt: z.number().optional(),
  lastUsedAt: z.number().optional(),
  lastUsedFrom: z.string().optional(),
});

const blockSchema = z.object({ since: z.number(), by: z.string(), reason: z.string().optional() });
const userSchema = z.object({
  user: z.string(),
  tokens: z.number(),
  sockets: z.number().default(0),
  blocked: blockSchema.optional(),
});

export type TokenInfo = z.infer<typeof tokenSchema>;
export type UserInfo = z.infer<typeof userSchema>;

export interface TokenOrder {
  user: string;
  role: string;
  groups: string[];
  note?: string | undefined;
  expiresInMs?: number | undefined;
}

export class CredentialApi {
  readonly #http: HttpApi;

  constructor(base: string, token: string | undefined) {
    this.#http = new HttpApi(base, token);
  }

  create(order: TokenOrder): Promise<TokenInfo & { token: string }> {
    return this.#http.ask('/v1/admin/tokens', tokenSchema.extend({ token: z.string() }), {
      method: 'POST',
      body: order,
    });
  }

  tokens(user: string | undefined): Promise<TokenInfo[]> {
    return this.#all('/v1/admin/tokens', 'tokens', tokenSchema, user === undefined ? {} : { user });
  }

  /** ERR_NOT_FOUND. */
  async revoke(id: string): Promise<void> {
    await this.#http.ask(`/v1/admin/tokens/${encodeURIComponent(id)}`, z.unknown(), { method: 'DELETE' });
  }

  users(): Promise<UserInfo[]> {
    return this.#all('/v1/admin/users', 'users', userSchema, {});
  }

  async block(user: string, reason: string | undefined): Promise<void> {
    await this.#http.ask(blockPath(user), z.unknown(), { method: 'POST', body: { reason } });
  }

  /** ERR_NOT_FOUND: the user is not blocked. */
  async unblock(user: string): Promise<void> {
    await this.#http.ask(blockPath(user), z.unknown(), { method: 'DELETE' });
  }

  async #all<T>(path: string, name: string, schema: z.ZodType<T>, filter: Record<string, string>): Promise<T[]> {
    const page = z.object({ [name]: z.array(schema), next: z.string().optional() });
    const found: T[] = [];
    let cursor: string | undefined = '';
    while (cursor !== undefined) {
      const query = new URLSearchParams({ ...filter, limit: String(PAGE), ...(cursor !== '' && { cursor }) });
      const answer = (await this.#http.ask(`${path}?${query.toString()}`, page)) as { next?: string } & Record<
        string,
        unknown
      >;
      found.push(...(answer[name] as T[]));
      cursor = answer.next;
    }
    return found;
  }
}

function blockPath(user: string): string {
  return `/v1/admin/users/${encodeURIComponent(user)}/block`;
}
