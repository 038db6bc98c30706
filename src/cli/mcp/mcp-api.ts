/** The server's HTTP routes about MCP servers, for the command line and the chat. Command line's process. */
import { z } from 'zod';
import { FairleadError } from '../../shared/errors.js';
import { DEFINITION_PARTS } from '../../shared/protocol.js';
import { HttpApi } from '../http-api.js';

/** For routes that may start an MCP server or wait for an authorization server. */
const SLOW_MS = 100_000;

const serverSchema = z.object({
  name: z.string(),
  kind: z.string(),
  state: z.string(),
  era: z.string().optional(),
  latencyMs: z.number().optional(),
  lastError: z.string().optional(),
  since: z.number().optional(),
  tools: z.array(z.object({ name: z.string(), title: z.string().optional(), description: z.string().default('') })),
  leftOut: z.array(z.string()).optional(),
  resources: z.boolean().default(false),
  prompts: z.boolean().default(false),
});

const promptSchema = z.object({
  name: z.string(),
  title: z.string().optional(),
  description: z.string().optional(),
  arguments: z
    .array(z.object({ name: z.string(), description: z.string().optional(), required: z.boolean().optional() }))
    .default([]),
});

const contentSchema = z.looseObject({ type: z.string(), text: z.string().optional() });
const messagesSchema = z.object({ messages: z.array(z.object({ role: z.string(), content: contentSchema })) });

const pinReportSchema = z.object({
  server: z.string(),
  pinnedBy: z.string().optional(),
  onChange: z.string(),
  tools: z.record(z.string(), z.string()),
  differences: z.array(
    z.object({ tool: z.string(), state: z.enum(['new', 'changed']), parts: z.array(z.enum(DEFINITION_PARTS)) }),
  ),
  missing: z.array(z.string()),
});

export type McpPinReport = z.infer<typeof pinReportSchema>;
export type McpServerInfo = z.infer<typeof serverSchema>;
export type McpPrompt = z.infer<typeof promptSchema>;

export class McpApi {
  readonly #http: HttpApi;

  constructor(base: string, token: string | undefined) {
    this.#http = new HttpApi(base, token);
  }

  async list(): Promise<McpServerInfo[]> {
    return (await this.#http.ask('/v1/mcp', z.object({ servers: z.array(serverSchema) }))).servers;
  }

  /** ERR_NOT_FOUND. */
  info(server: string): Promise<McpServerInfo> {
    return this.#http.ask(pathOf(server), serverSchema);
  }

  test(server: string): Promise<{ latencyMs: number; era: string }> {
    const schema = z.object({ latencyMs: z.number(), era: z.string() });
    return this.#http.ask(`${pathOf(server)}/test`, schema, { method: 'POST', body: {}, timeoutMs: SLOW_MS });
  }

  login(server: string): Promise<{ url: string; expiresAt: number }> {
    const schema = z.object({ url: z.url({ protocol: /^https?$/ }), expiresAt: z.number() });
    return this.#http.ask(`${pathOf(server)}/login`, schema, { method: 'POST', body: {}, timeoutMs: SLOW_MS });
  }

  logout(server: string): Promise<{ revoked: boolean }> {
    const schema = z.object({ revoked: z.boolean() });
    return this.#http.ask(`${pathOf(server)}/login`, schema, { method: 'DELETE', timeoutMs: SLOW_MS });
  }

  /** `GET` looks, `POST` pins, `DELETE` removes the pins. */
  pins(server: string, method: 'GET' | 'POST' | 'DELETE'): Promise<McpPinReport> {
    const path = `/v1/admin/mcp/${encodeURIComponent(server)}/pins`;
    return this.#http.ask(path, pinReportSchema, { method, ...(method === 'POST' ? { body: {} } : {}) });
  }

  async prompts(server: string, session: string | undefined): Promise<McpPrompt[]> {
    const schema = z.object({ prompts: z.array(promptSchema) });
    return (await this.#http.ask(`${pathOf(server)}/prompts${inSession(session)}`, schema, { timeoutMs: SLOW_MS }))
      .prompts;
  }

  /** The prompt's text as one message. ERR_MCP when it contains no text. */
  async promptText(
    server: string,
    prompt: string,
    args: Record<string, string>,
    session: string | undefined,
  ): Promise<string> {
    const path = `${pathOf(server)}/prompts/${encodeURIComponent(prompt)}${inSession(session)}`;
    const request = { method: 'POST', body: { arguments: args }, timeoutMs: SLOW_MS } as const;
    const { messages } = await this.#http.ask(path, messagesSchema, request);
    const texts = messages.flatMap(({ content }) => content.text ?? []);
    if (texts.length === 0) throw new FairleadError('ERR_MCP', `${server}:${prompt} has no text`);
    return texts.join('\n\n');
  }
}

function pathOf(server: string): string {
  return `/v1/mcp/${encodeURIComponent(server)}`;
}

function inSession(session: string | undefined): string {
  return session === undefined ? '' : `?session=${encodeURIComponent(session)}`;
}
