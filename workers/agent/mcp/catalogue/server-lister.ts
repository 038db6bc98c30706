/**
 * Keeps asking the servers that are no sandboxes for their tools, for all threads of the process: on their word that these
 * have changed, when what they said has aged, and with backoff while they are down. Agent thread 0.
 */
import { createHash } from 'node:crypto';
import { errorToData, isFairleadError, publicMessage } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import type { ToolDefinition } from '../../../../src/shared/tool-definition.js';
import type { ServerListing } from '../../contract/mcp.js';
import type { Era } from '../host/server-connection.js';

export interface ListedTools {
  tools: ToolDefinition[];
  /** How long they hold; Infinity: until there is a reason to ask. */
  ttlMs?: number;
  resources?: boolean;
  prompts?: boolean;
  era?: Era;
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

interface Watched {
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
  readonly #watched = new Map<string, Watched>();
  readonly #abort = new AbortController();

  constructor(options: ServerListerOptions) {
    this.#options = options;
    this.#times = { ...TIMES, ...options.times };
    for (const server of options.servers) {
      this.#watched.set(server, { failures: 0, startedAt: -Infinity, running: false, again: false });
    }
  }

  start(): void {
    for (const server of this.#watched.keys()) this.refresh(server);
  }

  /** Soon; nothing for a server that is not listed here. */
  refresh(server: string): void {
    const watched = this.#watched.get(server);
    if (!watched || this.#abort.signal.aborted) return;
    if (watched.running) {
      watched.again = true;
      return;
    }
    this.#schedule(server, watched, watched.startedAt + this.#times.minGapMs - performance.now());
  }

  close(): void {
    this.#abort.abort();
    for (const { timer } of this.#watched.values()) clearTimeout(timer);
  }

  #schedule(server: string, watched: Watched, delayMs: number): void {
    clearTimeout(watched.timer);
    if (delayMs === Infinity) return;
    watched.timer = setTimeout(() => void this.#run(server, watched), Math.max(0, delayMs));
  }

  async #run(server: string, watched: Watched): Promise<void> {
    watched.running = true;
    watched.again = false;
    watched.startedAt = performance.now();
    let nextMs: number;
    try {
      nextMs = await this.#list(server, watched);
    } catch (error) {
      nextMs = this.#failed(server, watched, error);
    }
    watched.running = false;
    if (this.#abort.signal.aborted) return;
    const soon = watched.startedAt + this.#times.minGapMs - performance.now();
    this.#schedule(server, watched, watched.again ? soon : nextMs);
  }

  async #list(server: string, watched: Watched): Promise<number> {
    const { list, watch, log } = this.#options;
    const { tools, ttlMs, resources = false, prompts = false } = await list(server, this.#abort.signal);
    if (watched.failures > 0) log.info({ server, tools: tools.length }, 'mcp server: there again');
    watched.failures = 0;
    this.#tell(watched, { server, tools, resources, prompts });
    watch(server, () => this.refresh(server));
    if (ttlMs === Infinity) return Infinity;
    return jittered(Math.max(this.#times.minAgeMs, Math.min(ttlMs || Infinity, this.#times.ageMs)));
  }

  #tell(watched: Watched, news: ServerListing): void {
    const hash = hashOf(news);
    if (hash === watched.told) return;
    watched.told = hash;
    this.#options.tell(news);
  }

  #failed(server: string, watched: Watched, error: unknown): number {
    const { log } = this.#options;
    if (this.#abort.signal.aborted) return 0;
    if (isFairleadError(error, 'ERR_MCP_LOGIN')) {
      this.#tell(watched, { server, perUser: true });
      return jittered(this.#times.ageMs);
    }
    const data = errorToData(error);
    const message = publicMessage(data).slice(0, 500);
    watched.failures++;
    if (watched.failures === 1)
      log.warn({ server, code: data.code, err: data.message }, 'mcp server: cannot be listed');
    this.#tell(watched, { server, down: message });
    const { firstBackoffMs, maxBackoffMs } = this.#times;
    return jittered(Math.min(maxBackoffMs, firstBackoffMs * 2 ** Math.min(watched.failures - 1, 10)));
  }
}

function hashOf(news: ServerListing): string {
  return createHash('sha256').update(JSON.stringify(news)).digest('base64url');
}

/** So that many servers behind one name, and many of us, do not come at the same moment. */
function jittered(ms: number): number {
  return ms * (0.8 + Math.random() * 0.4);
}
