/** Keeps the tools and the health of all configured MCP servers, for the agent threads and for /v1/mcp. Main thread. */
import type {
  Catalogue,
  McpStatusResult,
  ServerHealth,
  ServerListing,
  ServerNote,
  ServerNotes,
  ServerStatus,
} from '../../workers/agent/contract/mcp.js';
import { audit } from '../shared/audit.js';
import { isImageServer, isUrlServer, type McpServerConfig } from '../shared/config-mcp.js';
import type { Config } from '../shared/config.js';

import { seesServer } from '../shared/kept-for-groups.js';
import { gauge } from '../shared/metrics.js';
import { toolFilter } from '../shared/name-globs.js';
import type { Standing } from '../shared/person.js';
import type { ServerChanges } from '../shared/server-changes.js';
import type { ToolDefinition } from '../shared/tool-definition.js';
import { differenceText, pinDifference, type Pins } from '../shared/tool-pins.js';

/** A server that does not answer counts as reconnecting for this long, then as down. */
const RECONNECT_MS = 60_000;
const STATES = ['healthy', 'degraded', 'reconnecting', 'down', 'needs_login'] as const;

type State = ServerStatus['state'];

export interface Published {
  catalogue: Catalogue;
  notes: ServerNotes;
  pins?: Pins;
}

interface Entry {
  /** The last tools that it listed; a server that is down keeps them, so that no tool changes its name. Absent: none yet. */
  tools?: ToolDefinition[];
  note: ServerNote;
  /** When it last changed between up and down, ms since the epoch. */
  since: number;
}

export class ServerBook {
  readonly #config: Pick<Config, 'mcp' | 'mcpServers'>;
  readonly #pins: () => Pins;
  readonly #publish: (published: Published) => void;
  readonly #entries = new Map<string, Entry>();
  #publishing = false;

  /** `pins`: those of the data folder. */
  constructor(
    config: Pick<Config, 'mcp' | 'mcpServers'>,
    publish: (published: Published) => void,
    pins: () => Pins = () => ({}),
  ) {
    this.#config = config;
    this.#pins = pins;
    this.#publish = publish;
    gauge('fairlead_mcp_server_state', 'MCP servers by state', ['server', 'state'], (g) => {
      g.reset(); // of servers that are gone
      for (const name of Object.keys(config.mcpServers)) {
        const now = this.#stateOf(name, this.#entries.get(name));
        for (const state of STATES) g.set({ server: name, state }, state === now ? 1 : 0);
      }
    });
  }

  /** Publishes in the next turn of the event loop, if anything has changed. */
  note({ server, tools, ...note }: ServerListing): void {
    if (!Object.hasOwn(this.#config.mcpServers, server)) return;
    const before = this.#entries.get(server);
    const kept = note.down === undefined ? tools : (tools ?? before?.tools);
    const wasThere = before !== undefined && before.note.down === undefined;
    const since = before && wasThere === (note.down === undefined) ? before.since : Date.now();
    // A server that is down says nothing of its resources and prompts: what is known of them stays.
    const entry: Entry = {
      ...(kept ? { tools: kept } : {}),
      note: note.down === undefined ? note : { ...before?.note, ...note },
      since,
    };
    if (before && JSON.stringify([before.tools, before.note]) === JSON.stringify([entry.tools, entry.note])) return;
    this.#entries.set(server, entry);
    this.#noteDifferences(server, tools ?? []);
    this.#publishSoon();
  }

  /** What a changed server has listed stands until it is listed again, so that its tools are not away meanwhile. */
  applyConfig({ removed }: Pick<ServerChanges, 'removed'>): void {
    for (const server of removed) this.#entries.delete(server);
    this.#publishSoon();
  }

  #publishSoon(): void {
    if (this.#publishing) return;
    this.#publishing = true;
    setImmediate(() => {
      this.#publishing = false;
      this.#publish(this.published());
    });
  }

  /** All servers, in the configuration's order. */
  published(): Published {
    const catalogue: Catalogue = {};
    const notes: ServerNotes = {};
    for (const server of Object.keys(this.#config.mcpServers)) {
      const entry = this.#entries.get(server);
      // A server that has not answered yet is left out.
      if (!entry) continue;
      if (entry.tools) catalogue[server] = entry.tools;
      if (Object.keys(entry.note).length > 0) notes[server] = entry.note;
    }
    return { catalogue, notes, pins: this.#pins() };
  }

  /** As it has listed them for all users; undefined: not yet. */
  toolsOf(server: string): readonly ToolDefinition[] | undefined {
    return this.#entries.get(server)?.tools;
  }

  isPerUser(server: string): boolean {
    return this.#entries.get(server)?.note.perUser === true;
  }

  /** As it lists them for this user, where each has tools of their own; undefined: that is not known. */
  ownToolsOf(server: string, threads: readonly McpStatusResult[]): readonly ToolDefinition[] | undefined {
    return ownOf(server, threads)?.tools;
  }

  /** As this user sees them, from what all threads have noticed in their own requests. */
  health(threads: readonly McpStatusResult[], who: Standing): ServerStatus[] {
    const { mcpServers } = this.#config;
    const seen = Object.entries(mcpServers).filter(([name]) => seesServer(mcpServers, name, who));
    return seen.map(([name, server]) => {
      const entry = this.#entries.get(name);
      const own = ownOf(name, threads);
      const noticed = threads.flatMap(({ health }) => health[name] ?? []);
      const note = own?.note ?? entry?.note ?? {};
      const state = own ? ownState(own.note) : worst(this.#stateOf(name, entry), noticed);
      const since = Math.max(0, entry?.since ?? 0, ...noticed.map(({ since }) => since ?? 0));
      const lastError = note.down ?? noticed.find(({ lastError }) => lastError !== undefined)?.lastError;
      const latencies = noticed.flatMap(({ latencyMs }) => (latencyMs === undefined ? [] : [latencyMs]));
      const era = noticed.find(({ era }) => era !== undefined)?.era;
      const tools = own ? own.tools : entry?.tools;
      const isAllowed = toolFilter(server.tools);
      const refusal = this.#refusalOf(name);
      const allowed = (tools ?? []).filter(({ name: own }) => isAllowed(own));
      const refused = allowed.flatMap((tool) => refusal(tool) ?? []);
      const leftOut = [...(note.leftOut ?? []), ...refused];
      return {
        name,
        kind: kindOf(server),
        state,
        ...(era ? { era } : {}),
        ...(latencies.length > 0 ? { latencyMs: Math.round(mean(latencies)) } : {}),
        ...(lastError !== undefined && state !== 'healthy' ? { lastError } : {}),
        ...(since > 0 ? { since } : {}),
        tools: allowed.filter((tool) => refusal(tool) === undefined).map(shortTool),
        ...(leftOut.length > 0 ? { leftOut } : {}),
        resources: note.resources === true,
        prompts: note.prompts === true,
      };
    });
  }

  #noteDifferences(server: string, tools: readonly ToolDefinition[]): void {
    const pins = this.#pinsInForce();
    const differing = tools.filter((tool) => pinDifference(pins, server, tool)).map(({ name }) => name);
    if (differing.length === 0) return;
    const { onChange } = this.#config.mcp.pins;
    audit({ what: 'tool_pinned', outcome: 'failed', about: { server, act: 'differs', onChange, tools: differing } });
  }

  #pinsInForce(): Pins {
    return { ...this.#pins(), ...this.#config.mcp.pins.servers };
  }

  /** Why a tool that differs from its pin is left out. */
  #refusalOf(server: string): (tool: ToolDefinition) => string | undefined {
    if (this.#config.mcp.pins.onChange !== 'refuse') return () => undefined;
    const pins = this.#pinsInForce();
    return (tool) => {
      const difference = pinDifference(pins, server, tool);
      return difference && `${tool.name}: ${differenceText(difference)}`;
    };
  }

  #stateOf(name: string, entry: Entry | undefined): State {
    const server = this.#config.mcpServers[name];
    if (!entry) return server && isImageServer(server) ? 'healthy' : 'reconnecting';
    if (entry.note.perUser) return 'healthy';
    if (entry.note.down === undefined) return 'healthy';
    return Date.now() - entry.since < RECONNECT_MS ? 'reconnecting' : 'down';
  }
}

/** The user's own thread knows most: it has the tools, or at least that a login is missing. */
function ownOf(name: string, threads: readonly McpStatusResult[]): McpStatusResult['own'][number] | undefined {
  const all = threads.flatMap(({ own }) => own.filter(({ server }) => server === name));
  return all.find(({ tools }) => tools !== undefined) ?? all.find(({ note }) => note.needsLogin) ?? all[0];
}

function ownState({ needsLogin, down }: ServerNote): State {
  if (needsLogin) return 'needs_login';
  return down === undefined ? 'healthy' : 'down';
}

/** A server is down only when every thread that uses it says so. */
function worst(listed: State, seen: readonly ServerHealth[]): State {
  if (listed !== 'healthy' || seen.length === 0) return listed;
  if (seen.every(({ state }) => state === 'down')) return 'down';
  return seen.every(({ state }) => state === 'healthy') ? 'healthy' : 'degraded';
}

function kindOf(server: McpServerConfig): ServerStatus['kind'] {
  if (isImageServer(server)) return 'image';
  return isUrlServer(server) ? 'url' : 'command';
}

function shortTool({ name, title, description }: ToolDefinition): ServerStatus['tools'][number] {
  return { name, ...(title === undefined ? {} : { title }), description };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
