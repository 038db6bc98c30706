/** Loads /mcp with its first request, so that threads without MCP clients never load the SDK's server. Agent threads. */
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

  /** Waits for the module too, so that the abort reaches an exchange that waits for it. */
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

  stopUsers(users: ReadonlySet<string>): void {
    if (this.#serving) this.#serving.stopUsers(users);
    else void this.#opening?.then((serving) => serving.stopUsers(users));
  }

  toolsChanged(): void {
    this.#serving?.toolsChanged();
  }

  /** Calls of clients that run or wait. */
  get calls(): number {
    return this.#serving?.calls ?? 0;
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
