/** A tool call over /mcp, as a person's client makes it. Runs in tests. */
import type { FuzzWorld } from './world.js';

const CALL_MS = 120_000;
const HEADERS = { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' };

export class McpUser {
  readonly #url: string;
  readonly #token: string;
  #session: Promise<string> | undefined;
  #next = 1;

  constructor({ engine, tokens }: FuzzWorld, user: number) {
    this.#url = `${engine.url}/mcp`;
    this.#token = tokens[user] ?? '';
  }

  /** What the call was answered with, whatever it is. Rejects when nothing came. */
  async call(name: string, args: object): Promise<string> {
    this.#session ??= this.#open();
    const session = await this.#session;
    const response = await this.#post('tools/call', { name, arguments: args }, { 'Mcp-Session-Id': session });
    if (response.status === 404) this.#session = undefined; // the next call opens another
    return response.text();
  }

  async #open(): Promise<string> {
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'fuzz', version: '1' } };
    const response = await this.#post('initialize', params, {});
    await response.text();
    const session = response.headers.get('mcp-session-id');
    if (session === null) throw new Error(`/mcp gave no session: ${response.status}`);
    return session;
  }

  #post(method: string, params: object, headers: Record<string, string>): Promise<Response> {
    return fetch(this.#url, {
      method: 'POST',
      headers: { ...HEADERS, ...headers, Authorization: `Bearer ${this.#token}` },
      body: JSON.stringify({ jsonrpc: '2.0', id: this.#next++, method, params }),
      signal: AbortSignal.timeout(CALL_MS),
    });
  }
}

/** The server has closed the connection, as it does with a request that can be read in two ways. */
export function isDone(error: unknown): boolean {
  const { cause } = error as { cause?: { code?: string } };
  return cause?.code === 'UND_ERR_SOCKET' || cause?.code === 'ECONNRESET';
}
