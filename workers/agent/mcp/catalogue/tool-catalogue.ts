/** The tools of this thread's sessions: those that all users have, and those that a user has once he has logged in. Agent threads. */
import { LRUCache } from 'lru-cache';
import { atMost } from '../../../../src/shared/abort.js';
import { isImageServer, isUrlServer, serversOf } from '../../../../src/shared/config-mcp.js';
import type { Config } from '../../../../src/shared/config.js';
import { errorToData, isFairleadError, publicMessage } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import { toolFilter } from '../../../../src/shared/name-globs.js';
import type { ToolDefinition } from '../../../../src/shared/tool-definition.js';
import type { Catalogue, ServerNote, ServerNotes } from '../../contract/mcp.js';
import type { Caller, ServerAsks } from '../host/server-connection.js';
import { buildToolSet, type ToolSet } from './tool-names.js';
import { definitionHash } from './definition-hash.js';
import { FirstListing } from './first-listing.js';
import type { ListedTools } from './server-lister.js';
import type { SessionTools } from './session-tools.js';
import type { HealthBook } from './health-book.js';

export interface ToolCatalogueOptions {
  config: Pick<Config, 'mcp' | 'mcpServers'>;
  health: HealthBook;
  /** What this user may use of the server; `asks`: he may be asked to log in. ERR_MCP_LOGIN without. */
  list: (caller: Caller, server: string, options: { signal: AbortSignal; asks?: ServerAsks }) => Promise<ListedTools>;
  /** Of servers that are a session's own: what such a server has said since. */
  changed: Pick<SessionTools, 'of' | 'ready'>;
  /** A server that all users share may be away. */
  onTrouble: (server: string) => void;
  log: Logger;
  times?: Partial<typeof TIMES>;
}

const TIMES = {
  /** A user's first turn waits so long for what his servers list. */
  waitMs: 5_000,
  ageMs: 300_000,
  minAgeMs: 5_000,
  /** He may have logged in elsewhere, or the server may be back. */
  retryMs: 15_000,
  /** Between two words of trouble with one server. */
  troubleGapMs: 1_000,
};
const MAX_USERS = 1_000;
const MAX_SETS = 200;
const NOTHING: ReadonlyMap<string, ToolDefinition[]> = new Map();

/** What one user's server has said. */
interface Own {
  listed?: ListedTools;
  needsLogin: boolean;
  error?: string;
  /** When it is to be asked again. */
  until: number;
  /** Under way. */
  listing?: Promise<void>;
}

export class ToolCatalogue {
  readonly #options: ToolCatalogueOptions;
  readonly #times: typeof TIMES;
  readonly #isAllowed: (server: string, name: string) => boolean;
  readonly #firstNews: FirstListing;
  #catalogue: Catalogue = {};
  #notes: ServerNotes = {};
  #perUser: string[] = [];
  /** By what differs between users: those who have the same tools share one. The least recently used goes first. */
  readonly #sets = new LRUCache<string, ToolSet>({ max: MAX_SETS });
  /** server → when its last trouble was told. */
  readonly #troubles = new Map<string, number>();
  /** user → server. The least recently used user goes first. */
  readonly #users = new LRUCache<string, Map<string, Own>>({ max: MAX_USERS });

  constructor(options: ToolCatalogueOptions) {
    this.#options = options;
    this.#times = { ...TIMES, ...options.times };
    const filters = new Map(
      Object.entries(options.config.mcpServers).map(([server, { tools }]) => [server, toolFilter(tools)]),
    );
    this.#isAllowed = (server, name) => filters.get(server)?.(name) ?? true;
    const { mcpServers } = options.config;
    const listed = Object.keys(mcpServers).filter((server) => !isImageServer(mcpServers[server]!));
    this.#firstNews = new FirstListing(listed, this.#times.waitMs);
    this.set({}, {});
  }

  set(catalogue: Catalogue, notes: ServerNotes): void {
    this.#catalogue = catalogue;
    this.#notes = notes;
    const urls = serversOf(this.#options.config.mcpServers, isUrlServer).map(([server]) => server);
    this.#perUser = urls.filter((server) => notes[server]?.perUser === true);
    this.#sets.clear();
    this.#firstNews.note((server) => Object.hasOwn(catalogue, server) || Object.hasOwn(notes, server));
  }

  toolSet({ user, session }: Caller): ToolSet {
    const own = this.#ownOf(user);
    const changed = this.#changedOf(session);
    const news = [...changed].map(([server, tools]) => [server, toolsHash(tools)]);
    const key = JSON.stringify([this.#perUser.map((server) => ownKey(own.get(server))), news]);
    let set = this.#sets.get(key);
    if (!set) this.#sets.set(key, (set = this.#build(own, changed)));
    return set;
  }

  /**
   * Before a request to the model: the servers have been heard of since the start, the user's own and those whose tools have
   * changed have been asked, or the wait for them is over. Never rejects.
   */
  async ready(caller: Caller, waitMs = this.#times.waitMs): Promise<void> {
    const { changed } = this.#options;
    if (!this.#firstNews.isOver) await this.#firstNews.over;
    const due = this.#perUser.filter((server) => (this.#ownOf(caller.user).get(server)?.until ?? 0) <= Date.now());
    if (due.length === 0 && !changed.of(caller.session)) return;
    const asked = [changed.ready(caller.session), ...due.map((server) => this.#refresh(caller, server))];
    await atMost(waitMs, Promise.all(asked));
  }

  /** The person is asked to log in where he has not. Resolves with the tools that he has then; errors of the server. */
  async connect(caller: Caller, server: string, asks: ServerAsks, signal: AbortSignal): Promise<ToolDefinition[]> {
    const listed = await this.#options.list(caller, server, { signal, asks });
    this.#note(caller.user, server, { listed, needsLogin: false, until: Date.now() + this.#ageOf(listed) });
    return listed.tools;
  }

  /** He has logged in or out, or the server has shown that what is known is wrong. */
  forget(user: string, server: string): void {
    this.#users.peek(user)?.delete(server);
  }

  noteGood(server: string): void {
    this.#options.health.noteGood(server);
  }

  /** A call there has failed: whoever lists that server looks at once whether it is still there. */
  noteTrouble(user: string, server: string, message: string): void {
    this.#options.health.noteBad(server, message);
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

  /** For the model: servers whose tools it may miss. '' when there is nothing to say. */
  note(user: string): string {
    const { notes } = this.#merged(this.#ownOf(user));
    const down = Object.entries(notes).flatMap(([server, note]) => (note.down === undefined ? [] : [server]));
    if (down.length === 0) return '';
    const [them, their] = down.length === 1 ? ['This MCP server is', 'its'] : ['These MCP servers are', 'their'];
    return `${them} not available now, and ${their} tools cannot be used until that has passed: ${down.join(', ')}.`;
  }

  /** This user's servers beside those that all have: for /v1/mcp. */
  notesOf(user: string): ServerNotes {
    return this.#merged(this.#ownOf(user)).notes;
  }

  /** Of the servers with a login each, what is known for this user. */
  ownServers(user: string): { server: string; note: ServerNote; tools?: ToolDefinition[] }[] {
    const own = this.#ownOf(user);
    const { notes } = this.#merged(own);
    return this.#perUser.map((server) => {
      const tools = own.get(server)?.listed?.tools;
      return { server, note: notes[server] ?? {}, ...(tools ? { tools } : {}) };
    });
  }

  /** Without what is as it was: servers say that something has changed when they have just begun. */
  #changedOf(session: string): ReadonlyMap<string, ToolDefinition[]> {
    const changed = this.#options.changed.of(session);
    if (!changed) return NOTHING;
    return new Map(
      [...changed].flatMap(([server, { tools }]) =>
        toolsHash(tools) === toolsHash(this.#catalogue[server] ?? []) ? [] : [[server, tools] as const],
      ),
    );
  }

  #build(own: ReadonlyMap<string, Own>, changed: ReadonlyMap<string, ToolDefinition[]>): ToolSet {
    const { toolNames: mode, toolTokens } = this.#options.config.mcp;
    const { catalogue, notes } = this.#merged(own, changed);
    return buildToolSet(catalogue, { mode, toolTokens, notes, isAllowed: this.#isAllowed });
  }

  #merged(
    own: ReadonlyMap<string, Own>,
    changed: ReadonlyMap<string, ToolDefinition[]> = NOTHING,
  ): { catalogue: Catalogue; notes: ServerNotes } {
    if (this.#perUser.length === 0 && changed.size === 0) return { catalogue: this.#catalogue, notes: this.#notes };
    const catalogue: Catalogue = {};
    for (const server of Object.keys(this.#options.config.mcpServers)) {
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
    return { catalogue, notes: { ...this.#notes, ...Object.fromEntries(mine) } };
  }

  #ownOf(user: string): Map<string, Own> {
    const own = this.#users.get(user) ?? new Map<string, Own>();
    if (this.#perUser.length > 0) this.#users.set(user, own);
    return own;
  }

  #refresh(caller: Caller, server: string): Promise<void> {
    const before = this.#ownOf(caller.user).get(server);
    if (before?.listing) return before.listing;
    // Turns that come while it takes long do not wait for it again.
    const own: Own = { needsLogin: false, ...before, until: Date.now() + this.#times.retryMs };
    this.#note(caller.user, server, own);
    own.listing = this.#replace(caller, server, own, before);
    return own.listing;
  }

  async #replace(caller: Caller, server: string, own: Own, before: Own | undefined): Promise<void> {
    const after = await this.#list(caller, server, before);
    // A login, or its end, that came meanwhile knows better.
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
