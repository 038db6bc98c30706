/** Lists the tools of the MCP servers that run in sandboxes: at the boot, and again those that could not be listed. Main thread. */
import type { ServerListing } from '../../workers/agent/contract/mcp.js';
import { backoffMs, type Backoff } from '../shared/backoff.js';
import { isImageServer, serversOf } from '../shared/config-mcp.js';
import type { Config } from '../shared/config.js';
import type { ServerChanges } from '../shared/server-changes.js';
import { cutText } from '../shared/cut-text.js';
import { errorToData } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import type { DockerPool } from '../threads/docker-pool.js';

/** A sentence, and the end of what the server has printed. */
const MAX_TEXT = 800;
const AGAIN: Backoff = { firstMs: 2_000, maxMs: 60_000 };

export interface ImageServersOptions {
  config: Pick<Config, 'mcpServers'>;
  docker: Pick<DockerPool, 'run'>;
  log: Logger;
  /** Tools of a server, or why it has none. */
  note: (listing: ServerListing) => void;
  /** For tests. */
  again?: Backoff;
}

export class ImageServers {
  readonly #options: ImageServersOptions;
  readonly #timers = new Map<string, NodeJS.Timeout>();
  /** The list of each server that counts: one that changes is listed anew. */
  readonly #lists = new Map<string, symbol>();
  #closed = false;

  constructor(options: ImageServersOptions) {
    this.#options = options;
  }

  /**
   * Asks the first sandbox of each image, so that agent threads know the tools without a sandbox. Resolves when each has answered or
   * failed: one bad image must not keep the others from serving. It is asked again until it answers.
   */
  async start(): Promise<void> {
    const { mcpServers } = this.#options.config;
    await Promise.all(serversOf(mcpServers, isImageServer).map(([server]) => this.#listNew(server)));
  }

  /** Lists what is new or changed in the background. */
  applyConfig({ added, changed, removed }: ServerChanges): void {
    if (this.#closed) return;
    for (const server of [...changed, ...removed]) {
      clearTimeout(this.#timers.get(server));
      this.#timers.delete(server);
      this.#lists.delete(server);
    }
    const images = new Set(serversOf(this.#options.config.mcpServers, isImageServer).map(([server]) => server));
    for (const server of [...added, ...changed]) if (images.has(server)) void this.#listNew(server);
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }

  #listNew(server: string): Promise<void> {
    const list = Symbol(server);
    this.#lists.set(server, list);
    return this.#list(server, 1, list);
  }

  async #list(server: string, attempt: number, list: symbol): Promise<void> {
    const { docker, log, note, again = AGAIN } = this.#options;
    try {
      const { tools, resources = false, prompts = false } = await docker.run('read-tools', { server });
      if (this.#closed || this.#lists.get(server) !== list) return;
      if (attempt > 1) log.info({ server, tools: tools.length }, 'mcp server: its image can be used now');
      note({ server, tools, ...(resources ? { resources } : {}), ...(prompts ? { prompts } : {}) });
    } catch (error) {
      if (this.#closed || this.#lists.get(server) !== list) return;
      const { code, message } = errorToData(error);
      const retryMs = Math.round(backoffMs(attempt, again));
      log.error({ server, code, retryMs }, `mcpServers.${server} cannot be used, the others can: ${message}`);
      // Every user sees it: of a sandbox that no user has used its text tells, of Docker the code alone.
      note({ server, down: code === 'ERR_SANDBOX' ? `${code}: ${cutText(message, MAX_TEXT)}` : code });
      const timer = setTimeout(() => void this.#list(server, attempt + 1, list), retryMs);
      timer.unref(); // must not keep the process alive
      this.#timers.set(server, timer);
    }
  }
}
