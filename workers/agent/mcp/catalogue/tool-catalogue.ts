/** The tools of this thread's sessions: those of all users, and those that a user has after a login. Agent threads. */
import { LRUCache } from 'lru-cache';
import { atMost } from '../../../../src/shared/abort.js';
import { isImageServer, isUrlServer, serversOf } from '../../../../src/shared/config-mcp.js';
import type { Config } from '../../../../src/shared/config.js';
import { errorToData, isFairleadError, publicMessage } from '../../../../src/shared/errors.js';
import { keptServers, seesServer } from '../../../../src/shared/kept-for-groups.js';
import type { Logger } from '../../../../src/shared/log.js';
import { toolFilter } from '../../../../src/shared/name-globs.js';
import type { Asker } from '../../../../src/shared/policy/policy.js';
import type { ToolDefinition } from '../../../../src/shared/tool-definition.js';
import type { Catalogue, ServerNote, ServerNotes } from '../../contract/mcp.js';
import { NO_USER } from '../host/no-user.js';
import type { Caller, ServerAsks } from '../host/server-connection.js';
import { buildToolSet, type KnownTool, type ToolSet } from './tool-names.js';
import { definitionHash } from '../../../../src/shared/definition-hash.js';
import { FirstListing } from './first-listing.js';
import type { ListedTools } from './server-lister.js';
import type { SessionTools } from './session-tools.js';
import type { HealthBook } from './health-book.js';

export interface ToolCatalogueOptions {
  config: Pick<Config, 'mcp' | 'mcpServers'>;
  health: HealthBook;
  /** Lists the user's tools there. `asks`: the user may be asked to log in; without it, ERR_MCP_LOGIN. */
  list: (caller: Caller, server: string, options: { signal: AbortSignal; asks?: ServerAsks }) => Promise<ListedTools>;
  /** Changed tools of servers that belong to one session. */
  changed: Pick<SessionTools, 'of' | 'ready'>;
  /** Tools that differ from their pins, where the configuration refuses these. */
  isRefused?: (tool: KnownTool) => boolean;
  /** Called when a server that all users share may be down. */
  onTrouble: (server: string) => void;
  log: Logger;
  times?: Partial<typeof TIMES>;
}

const TIMES = {
  /** Limit of the wait of a user's first turn for their servers' lists. */
  waitMs: 5_000,
  ageMs: 300_000,
  minAgeMs: 5_000,
  /** After this a failed list is tried again: the user may have logged in elsewhere, or the server may be back. */
  retryMs: 15_000,
  /** The shortest interval between two reports of trouble with one server. */
  troubleGapMs: 1_000,
};
const MAX_USERS = 1_000;
const MAX_SETS = 200;
const NOTHING: ReadonlyMap<string, ToolDefinition[]> = new Map();
const NONE: ReadonlySet<string> = new Set();

/** The last list of one server for one user. */
interface Own {
  listed?: ListedTools;
  needsLogin: boolean;
  error?: string;
  /** It holds until then, ms since the epoch. */
  until: number;
  /** The running list. */
  listing?: Promise<void>;
}

/** What one session's tools are made of. */
interface Seen {
  own: ReadonlyMap<string, Own>;
  changed?: ReadonlyMap<string, ToolDefinition[]>;
  hidden: ReadonlySet<string>;
}

export class ToolCatalogue {
  readonly #options: ToolCatalogueOptions;
  readonly #times: typeof TIMES;
  #isAllowed: (server: string, name: string) => boolean = () => true;
  readonly #firstNews: FirstListing;
  #catalogue: Catalogue = {};
  #notes: ServerNotes = {};
  #perUser: string[] = [];
  /** Servers that not everybody sees. */
  #kept: readonly string[] = [];
  /** By what differs between users: users with the same tools share one set. */
  readonly #sets = new LRUCache<string, ToolSet>({ max: MAX_SETS });
  /** server → the time of its last report of trouble. */
  readonly #troubles = new Map<string, number>();
  /** user → server → list. */
  readonly #users = new LRUCache<string, Map<string, Own>>({ max: MAX_USERS });

  constructor(options: ToolCatalogueOptions) {
    this.#options = options;
    this.#times = { ...TIMES, ...options.times };
    const { mcpServers } = options.config;
    const listed = Object.keys(mcpServers).filter((server) => !isImageServer(mcpServers[server]!));
    this.#firstNews = new FirstListing(listed, this.#times.waitMs);
    this.applyConfig();
  }

  /**
   * Who sees which servers, and which of their tools, as the configuration says now. Of the servers in `gone` nobody's own list counts
   * any more; those in `removed` have no tools.
   */
  applyConfig(gone: readonly string[] = [], removed: readonly string[] = []): void {
    for (const own of this.#users.values()) for (const server of gone) own.delete(server);
    for (const server of gone) this.#troubles.delete(server);
    const { mcpServers } = this.#options.config;
    const filters = new Map(Object.entries(mcpServers).map(([server, { tools }]) => [server, toolFilter(tools)]));
    this.#isAllowed = (server, name) => filters.get(server)?.(name) ?? true;
    this.#kept = keptServers(mcpServers);
    this.set(without(this.#catalogue, removed), without(this.#notes, removed));
  }

  set(catalogue: Catalogue, notes: ServerNotes): void {
    this.#catalogue = catalogue;
    this.#notes = notes;
    const urls = serversOf(this.#options.config.mcpServers, isUrlServer).map(([server]) => server);
    this.#perUser = urls.filter((server) => notes[server]?.perUser === true);
    this.#sets.clear();
    const { mcpServers } = this.#options.config;
    this.#firstNews.note(
      (server) =>
        Object.hasOwn(catalogue, server) || Object.hasOwn(notes, server) || !Object.hasOwn(mcpServers, server),
    );
  }

  toolSet(caller: Caller): ToolSet {
    const own = this.#ownOf(caller.user);
    const hidden = this.#hiddenFrom(caller);
    const changed = this.#changedOf(caller.session);
    const changes = [...changed].map(([server, tools]) => [server, toolsHash(tools)]);
    const key = JSON.stringify([this.#perUser.map((server) => ownKey(own.get(server))), changes, [...hidden]]);
    let set = this.#sets.get(key);
    if (!set) this.#sets.set(key, (set = this.#build({ own, changed, hidden })));
    return set;
  }

  /**
   * Called before a request to the model. Waits for the first list of each server after a start, for the user's own servers
   * and for changed tools, up to a limit. Never rejects.
   */
  async ready(caller: Caller, waitMs = this.#times.waitMs): Promise<void> {
    const { changed } = this.#options;
    if (!this.#firstNews.isOver) await this.#firstNews.over;
    const hidden = this.#hiddenFrom(caller);
    const expired = this.#perUser.filter(
      (server) => !hidden.has(server) && (this.#ownOf(caller.user).get(server)?.until ?? 0) <= Date.now(),
    );
    if (expired.length === 0 && !changed.of(caller.session)) return;
    const asked = [changed.ready(caller.session), ...expired.map((server) => this.#refresh(caller, server))];
    await atMost(waitMs, Promise.all(asked));
  }

  /** Asks the user to log in if needed. Resolves with the user's tools there; errors of the server. */
  async connect(caller: Caller, server: string, asks: ServerAsks, signal: AbortSignal): Promise<ToolDefinition[]> {
    const listed = await this.#options.list(caller, server, { signal, asks });
    this.#note(caller.user, server, { listed, needsLogin: false, until: Date.now() + this.#ageOf(listed) });
    return listed.tools;
  }

  /** Drops the user's list: after a login or a logout, or when the server has shown it to be wrong. */
  forget(user: string, server: string): void {
    this.#users.peek(user)?.delete(server);
  }

  noteGood(server: string): void {
    this.#options.health.noteGood(server);
  }

  /** A call has failed: the thread that lists the server checks it at once. */
  noteTrouble(user: string, server: string, error: unknown): void {
    this.#options.health.noteBad(server, error);
    if (!Object.hasOwn(this.#options.config.mcpServers, server)) return;
    const own = this.#perUser.includes(server) ? this.#ownOf(user).get(server) : undefined;
    if (own) {
      own.until = Math.min(own.until, Date.now() + this.#times.troubleGapMs);
      return;
    }
    const now = performance.now();
    if (now - (this.#troubles.get(server) ?? -Infinity) < this.#times.troubleGapMs) return;
    this.#troubles.set(server, now);
    this.#options.onTrouble(server);
  }

  /** A note for the model on servers that are down. '' when there are none. */
  note(asker: Asker): string {
    const notes = this.notesOf(asker);
    const down = Object.entries(notes).flatMap(([server, note]) => (note.down === undefined ? [] : [server]));
    if (down.length === 0) return '';
    const [them, their] = down.length === 1 ? ['This MCP server is', 'its'] : ['These MCP servers are', 'their'];
    return `${them} not available now, and ${their} tools cannot be used until that has passed: ${down.join(', ')}.`;
  }

  /** The notes on all servers, as this user sees them. */
  notesOf(asker: Asker): ServerNotes {
    return this.#merged({ own: this.#ownOf(asker.user), hidden: this.#hiddenFrom(asker) }).notes;
  }

  /** The servers with a login, as this user sees them: for /v1/mcp. */
  ownServers(asker: Asker): { server: string; note: ServerNote; tools?: ToolDefinition[] }[] {
    const own = this.#ownOf(asker.user);
    const hidden = this.#hiddenFrom(asker);
    const { notes } = this.#merged({ own, hidden });
    const seen = this.#perUser.filter((server) => !hidden.has(server));
    return seen.map((server) => {
      const tools = own.get(server)?.listed?.tools;
      return { server, note: notes[server] ?? {}, ...(tools ? { tools } : {}) };
    });
  }

  /** Without lists that are equal to the common one: servers announce changes right after their start. */
  #changedOf(session: string): ReadonlyMap<string, ToolDefinition[]> {
    const changed = this.#options.changed.of(session);
    if (!changed) return NOTHING;
    return new Map(
      [...changed].flatMap(([server, { tools }]) =>
        toolsHash(tools) === toolsHash(this.#catalogue[server] ?? []) ? [] : [[server, tools] as const],
      ),
    );
  }

  /** In the configuration's order. */
  #hiddenFrom({ user, who }: Asker): ReadonlySet<string> {
    if (this.#kept.length === 0 || user === NO_USER) return NONE;
    const { mcpServers } = this.#options.config;
    return new Set(this.#kept.filter((server) => !seesServer(mcpServers, server, who)));
  }

  #build(of: Seen): ToolSet {
    const { toolNames: mode, toolTokens } = this.#options.config.mcp;
    const { catalogue, notes } = this.#merged(of);
    const inSandbox = (name: string): boolean => {
      const server = this.#options.config.mcpServers[name];
      return server !== undefined && isImageServer(server) && server.scope !== 'shared';
    };
    const { isRefused = () => false } = this.#options;
    return buildToolSet(catalogue, { mode, toolTokens, notes, isAllowed: this.#isAllowed, isRefused, inSandbox });
  }

  /** What is hidden has no part in the names of the other tools either. */
  #merged({ own, changed = NOTHING, hidden }: Seen): { catalogue: Catalogue; notes: ServerNotes } {
    if (this.#perUser.length === 0 && changed.size === 0 && hidden.size === 0)
      return { catalogue: this.#catalogue, notes: this.#notes };
    const catalogue: Catalogue = {};
    for (const server of Object.keys(this.#options.config.mcpServers)) {
      if (hidden.has(server)) continue;
      const tools = changed.get(server) ?? own.get(server)?.listed?.tools ?? this.#catalogue[server];
      if (tools) catalogue[server] = tools;
    }
    const mine = this.#perUser.map((server): [string, ServerNotes[string]] => {
      const { listed, needsLogin = false, error } = own.get(server) ?? {};
      return [
        server,
        {
          perUser: true,
          ...(needsLogin ? { needsLogin } : {}),
          ...(error === undefined ? {} : { down: error }),
          ...(listed?.resources ? { resources: true } : {}),
          ...(listed?.prompts ? { prompts: true } : {}),
        },
      ];
    });
    const notes = Object.entries(this.#notes).concat(mine);
    return { catalogue, notes: Object.fromEntries(notes.filter(([server]) => !hidden.has(server))) };
  }

  #ownOf(user: string): Map<string, Own> {
    const own = this.#users.get(user) ?? new Map<string, Own>();
    if (this.#perUser.length > 0) this.#users.set(user, own);
    return own;
  }

  #refresh(caller: Caller, server: string): Promise<void> {
    const before = this.#ownOf(caller.user).get(server);
    if (before?.listing) return before.listing;
    // Later turns do not wait for a slow list again.
    const own: Own = { needsLogin: false, ...before, until: Date.now() + this.#times.retryMs };
    this.#note(caller.user, server, own);
    own.listing = this.#replace(caller, server, own, before);
    return own.listing;
  }

  async #replace(caller: Caller, server: string, own: Own, before: Own | undefined): Promise<void> {
    const after = await this.#list(caller, server, before);
    // A login or a logout meanwhile outweighs this list.
    if (this.#users.peek(caller.user)?.get(server) === own) this.#note(caller.user, server, after);
  }

  async #list(caller: Caller, server: string, before: Own | undefined): Promise<Own> {
    const signal = AbortSignal.timeout(this.#options.config.mcp.requestTimeoutMs);
    try {
      const listed = await this.#options.list(caller, server, { signal });
      return { listed, needsLogin: false, until: Date.now() + this.#ageOf(listed) };
    } catch (error) {
      const until = Date.now() + this.#times.retryMs;
      if (isFairleadError(error, 'ERR_MCP_LOGIN')) return { needsLogin: true, until };
      const data = errorToData(error);
      this.#options.log.debug({ server, user: caller.user, err: data.message }, 'a user’s mcp server cannot be listed');
      const { listed } = before ?? {};
      const down = publicMessage(data).slice(0, 500);
      return { ...(listed ? { listed } : {}), needsLogin: false, error: down, until };
    }
  }

  #note(user: string, server: string, own: Own): void {
    this.#ownOf(user).set(server, own);
  }

  #ageOf({ ttlMs }: ListedTools): number {
    return Math.max(this.#times.minAgeMs, Math.min(ttlMs || Infinity, this.#times.ageMs));
  }
}

function without<T>(of: Record<string, T>, names: readonly string[]): Record<string, T> {
  return Object.fromEntries(Object.entries(of).filter(([name]) => !names.includes(name)));
}

function ownKey(own: Own | undefined): unknown[] {
  if (!own) return [];
  const { listed, needsLogin, error } = own;
  return [needsLogin, error ?? '', listed?.resources ?? false, listed && toolsHash(listed.tools)];
}

const hashes = new WeakMap<ToolDefinition[], string>();

function toolsHash(tools: ToolDefinition[]): string {
  let hash = hashes.get(tools);
  if (hash === undefined) {
    hash = tools.map(definitionHash).join('');
    hashes.set(tools, hash);
  }
  return hash;
}
