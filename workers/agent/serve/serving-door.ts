/** /mcp is loaded by its first request: where nobody connects an MCP client, no thread loads the SDK's server. Agent threads. */
import type { McpAnswer, McpExchange } from '../contract/mcp.js';
import type { McpServing, ServingOptions } from './serving.js';

export class ServingDoor {
  readonly #options: ServingOptions;
  #opening: Promise<McpServing> | undefined;
  #serving: McpServing | undefined;

  constructor(options: ServingOptions) {
    this.#options = options;
  }

  async exchange(exchange: McpExchange): Promise<McpAnswer | null> {
    return (this.#serving ?? (await this.#open())).exchange(exchange);
  }

  /** After the exchange, also when that still waits for what is being loaded. */
  abort(exchange: string): void {
    if (this.#serving) this.#serving.abort(exchange);
    else void this.#opening?.then((serving) => serving.abort(exchange));
  }

  isActive(session: string): boolean {
    return this.#serving?.isActive(session) ?? false;
  }

  release(session: string): void {
    this.#serving?.release(session);
  }

  toolsChanged(): void {
    this.#serving?.toolsChanged();
  }

  async drain(grace: AbortSignal): Promise<void> {
    await (await this.#opening)?.drain(grace);
  }

  async close(): Promise<void> {
    await (await this.#opening)?.close();
  }

  #open(): Promise<McpServing> {
    this.#opening ??= import('./serving.js').then(({ McpServing }) => (this.#serving = new McpServing(this.#options)));
    return this.#opening;
  }
}
