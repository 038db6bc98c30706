/**
 * Lists the tools of `url` and `command` servers for all threads of the process: again when a server announces a change,
 * when its list expires, and with backoff while it is down. Agent thread 0.
 */
import type { ProtocolEra } from '@modelcontextprotocol/client';
import { createHash } from 'node:crypto';
import { backoffMs } from '../../../../src/shared/backoff.js';
import { cutText } from '../../../../src/shared/cut-text.js';
import { errorToData, isFairleadError, publicMessage } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import type { ToolDefinition } from '../../../../src/shared/tool-definition.js';
import type { ServerListing } from '../../contract/mcp.js';

/** A sentence, and the end of what the server has printed. */
const MAX_TEXT = 800;

export interface ListedTools {
  tools: ToolDefinition[];
  /** How long the list holds. Infinity: until something goes wrong or changes. */
  ttlMs?: number;
  /** Tools that nobody can read, and why. */
  leftOut?: string[];
  resources?: boolean;
  prompts?: boolean;
  era?: ProtocolEra;
}

export interface ServerListerOptions {
  servers: readonly string[];
  /** Rejects with ERR_MCP_LOGIN where each user has tools of their own. */
  list: (server: string, signal: AbortSignal) => Promise<ListedTools>;
  /** Sets the callback for announced changes. Called after each successful list. */
  watch: (server: string, onChanged: () => void) => void;
  tell: (listing: ServerListing) => void;
  log: Logger;
  times?: Partial<typeof TIMES>;
}

const TIMES = {
  /** The shortest interval between two lists of one server, however often it announces changes. */
  minGapMs: 250,
  firstBackoffMs: 1_000,
  maxBackoffMs: 60_000,
  /** Longest age of a list, also for a server that neither limits it nor announces changes. */
  ageMs: 300_000,
  minAgeMs: 5_000,
};

interface ListedServer {
  failures: number;
  startedAt: number;
  running: boolean;
  /** Requested again while it runs. */
  again: boolean;
  /** Hash of the last report: an equal one would make all threads rebuild their tools for nothing. */
  told?: string;
  timer?: NodeJS.Timeout;
  readonly abort: AbortController;
}

export class ServerLister {
  readonly #options: ServerListerOptions;
  readonly #times: typeof TIMES;
  readonly #listed = new Map<string, ListedServer>();

  constructor(options: ServerListerOptions) {
    this.#options = options;
    this.#times = { ...TIMES, ...options.times };
    for (const server of options.servers) this.#listed.set(server, newlyListed());
  }

  start(): void {
    for (const server of this.#listed.keys()) this.refresh(server);
  }

  /** Lists the server soon. Does nothing for a server that is not listed here. */
  refresh(server: string): void {
    const listed = this.#listed.get(server);
    if (!listed) return;
    if (listed.running) {
      listed.again = true;
      return;
    }
    this.#schedule(server, listed, listed.startedAt + this.#times.minGapMs - performance.now());
  }

  /** These servers are listed from now on, the new ones at once. Of those in `changed` nothing counts that was known. */
  replace(servers: readonly string[], changed: readonly string[]): void {
    for (const server of this.#listed.keys()) {
      if (!servers.includes(server) || changed.includes(server)) this.#end(server);
    }
    for (const server of servers) {
      if (this.#listed.has(server)) continue;
      this.#listed.set(server, newlyListed());
      this.refresh(server);
    }
  }

  close(): void {
    for (const server of this.#listed.keys()) this.#end(server);
  }

  #end(server: string): void {
    const listed = this.#listed.get(server);
    this.#listed.delete(server);
    clearTimeout(listed?.timer);
    listed?.abort.abort();
  }

  #schedule(server: string, listed: ListedServer, delayMs: number): void {
    clearTimeout(listed.timer);
    if (delayMs === Infinity) return;
    listed.timer = setTimeout(() => void this.#run(server, listed), Math.max(0, delayMs));
  }

  async #run(server: string, listed: ListedServer): Promise<void> {
    listed.running = true;
    listed.again = false;
    listed.startedAt = performance.now();
    let nextMs: number;
    try {
      nextMs = await this.#list(server, listed);
    } catch (error) {
      nextMs = this.#failed(server, listed, error);
    }
    listed.running = false;
    if (listed.abort.signal.aborted) return;
    const soon = listed.startedAt + this.#times.minGapMs - performance.now();
    this.#schedule(server, listed, listed.again ? soon : nextMs);
  }

  async #list(server: string, listed: ListedServer): Promise<number> {
    const { list, watch, log } = this.#options;
    const { tools, ttlMs, leftOut, resources = false, prompts = false } = await list(server, listed.abort.signal);
    if (listed.abort.signal.aborted) return 0;
    if (listed.failures > 0) log.info({ server, tools: tools.length }, 'mcp server: reachable again');
    listed.failures = 0;
    const isNews = this.#tell(listed, { server, tools, resources, prompts, ...(leftOut ? { leftOut } : {}) });
    if (isNews && leftOut) log.warn({ server, leftOut }, 'mcp server: tools that do not follow MCP are left out');
    watch(server, () => this.refresh(server));
    if (ttlMs === Infinity) return Infinity;
    return jittered(Math.max(this.#times.minAgeMs, Math.min(ttlMs || Infinity, this.#times.ageMs)));
  }

  /** False where it has been told before. */
  #tell(listed: ListedServer, listing: ServerListing): boolean {
    const hash = updateHash(listing);
    if (hash === listed.told) return false;
    listed.told = hash;
    this.#options.tell(listing);
    return true;
  }

  #failed(server: string, listed: ListedServer, error: unknown): number {
    const { log } = this.#options;
    if (listed.abort.signal.aborted) return 0;
    if (isFairleadError(error, 'ERR_MCP_LOGIN')) {
      this.#tell(listed, { server, perUser: true });
      return jittered(this.#times.ageMs);
    }
    const data = errorToData(error);
    const message = cutText(publicMessage(data), MAX_TEXT);
    listed.failures++;
    if (listed.failures === 1) log.warn({ server, code: data.code, err: data.message }, 'mcp server: cannot be listed');
    this.#tell(listed, { server, down: message });
    const { firstBackoffMs: firstMs, maxBackoffMs: maxMs } = this.#times;
    return backoffMs(listed.failures, { firstMs, maxMs });
  }
}

function newlyListed(): ListedServer {
  return { failures: 0, startedAt: -Infinity, running: false, again: false, abort: new AbortController() };
}

function updateHash(listing: ServerListing): string {
  return createHash('sha256').update(JSON.stringify(listing)).digest('base64url');
}

/** Spreads the lists of many servers, and of many instances of us. */
function jittered(ms: number): number {
  return ms * (0.8 + Math.random() * 0.4);
}
