/**
 * Keeps asking the servers that are no sandboxes for their tools, for all threads of the process: on their word that these
 * have changed, when what they said has aged, and with backoff while they are down. Agent thread 0.
 */
import type { ProtocolEra } from '@modelcontextprotocol/client';
import { createHash } from 'node:crypto';
import { backoffMs } from '../../../../src/shared/backoff.js';
import { errorToData, isFairleadError, publicMessage } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import type { ToolDefinition } from '../../../../src/shared/tool-definition.js';
import type { ServerListing } from '../../contract/mcp.js';

export interface ListedTools {
  tools: ToolDefinition[];
  /** How long they hold; Infinity: until there is a reason to ask. */
  ttlMs?: number;
  resources?: boolean;
  prompts?: boolean;
  era?: ProtocolEra;
}

export interface ServerListerOptions {
  servers: readonly string[];
  /** ERR_MCP_LOGIN: each user has his own. */
  list: (server: string, signal: AbortSignal) => Promise<ListedTools>;
  /** Calls back whenever the server says that its tools have changed. Called after each list that succeeds. */
  watch: (server: string, onChanged: () => void) => void;
  tell: (news: ServerListing) => void;
  log: Logger;
  times?: Partial<typeof TIMES>;
}

const TIMES = {
  /** Between two lists of one server, however often it says that something changed. */
  minGapMs: 250,
  firstBackoffMs: 1_000,
  maxBackoffMs: 60_000,
  /** A server that does not say how long its list holds, nor when it changes, is asked again after this. */
  ageMs: 300_000,
  minAgeMs: 5_000,
};

interface ListedServer {
  failures: number;
  startedAt: number;
  running: boolean;
  /** Asked for while it ran. */
  again: boolean;
  /** Hash of what was told last: all threads would build the same once more. */
  told?: string;
  timer?: NodeJS.Timeout;
}

export class ServerLister {
  readonly #options: ServerListerOptions;
  readonly #times: typeof TIMES;
  readonly #listed = new Map<string, ListedServer>();
  readonly #abort = new AbortController();

  constructor(options: ServerListerOptions) {
    this.#options = options;
    this.#times = { ...TIMES, ...options.times };
    for (const server of options.servers) {
      this.#listed.set(server, { failures: 0, startedAt: -Infinity, running: false, again: false });
    }
  }

  start(): void {
    for (const server of this.#listed.keys()) this.refresh(server);
  }

  /** Soon; nothing for a server that is not listed here. */
  refresh(server: string): void {
    const listed = this.#listed.get(server);
    if (!listed || this.#abort.signal.aborted) return;
    if (listed.running) {
      listed.again = true;
      return;
    }
    this.#schedule(server, listed, listed.startedAt + this.#times.minGapMs - performance.now());
  }

  close(): void {
    this.#abort.abort();
    for (const { timer } of this.#listed.values()) clearTimeout(timer);
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
    if (this.#abort.signal.aborted) return;
    const soon = listed.startedAt + this.#times.minGapMs - performance.now();
    this.#schedule(server, listed, listed.again ? soon : nextMs);
  }

  async #list(server: string, listed: ListedServer): Promise<number> {
    const { list, watch, log } = this.#options;
    const { tools, ttlMs, resources = false, prompts = false } = await list(server, this.#abort.signal);
    if (listed.failures > 0) log.info({ server, tools: tools.length }, 'mcp server: there again');
    listed.failures = 0;
    this.#tell(listed, { server, tools, resources, prompts });
    watch(server, () => this.refresh(server));
    if (ttlMs === Infinity) return Infinity;
    return jittered(Math.max(this.#times.minAgeMs, Math.min(ttlMs || Infinity, this.#times.ageMs)));
  }

  #tell(listed: ListedServer, news: ServerListing): void {
    const hash = updateHash(news);
    if (hash === listed.told) return;
    listed.told = hash;
    this.#options.tell(news);
  }

  #failed(server: string, listed: ListedServer, error: unknown): number {
    const { log } = this.#options;
    if (this.#abort.signal.aborted) return 0;
    if (isFairleadError(error, 'ERR_MCP_LOGIN')) {
      this.#tell(listed, { server, perUser: true });
      return jittered(this.#times.ageMs);
    }
    const data = errorToData(error);
    const message = publicMessage(data).slice(0, 500);
    listed.failures++;
    if (listed.failures === 1) log.warn({ server, code: data.code, err: data.message }, 'mcp server: cannot be listed');
    this.#tell(listed, { server, down: message });
    const { firstBackoffMs: firstMs, maxBackoffMs: maxMs } = this.#times;
    return backoffMs(listed.failures, { firstMs, maxMs });
  }
}

function updateHash(news: ServerListing): string {
  return createHash('sha256').update(JSON.stringify(news)).digest('base64url');
}

/** So that many servers behind one name, and many of us, do not come at the same moment. */
function jittered(ms: number): number {
  return ms * (0.8 + Math.random() * 0.4);
}
