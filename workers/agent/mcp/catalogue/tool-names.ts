/** The tool set of a user's sessions: what the model is sent, and which tool each name means. Pure; agent threads. */
import { cutText } from '../../../../src/shared/cut-text.js';
import type { ToolDefinition } from '../../../../src/shared/tool-definition.js';
import type { Catalogue, ServerNotes } from '../../contract/mcp.js';
import type { ModelTool } from '../../model/model.js';
import { BUILT_IN, connectTool, reservedNames, resourceTools, RESTART_TOOL, searchTools } from './built-in.js';
import { modelNames, type NameMode } from './model-names.js';
import { toModelSchema, type ModelSchema } from './model-schema.js';
import { deferredServers, definitionTokens } from './tool-budget.js';

export interface KnownTool {
  server: string;
  definition: ToolDefinition;
}

export interface NamedTool extends KnownTool {
  /** As the model gets it. */
  model: ModelTool;
  /** Left out of `ToolSet.tools`: the model finds it with the search tool. */
  deferred: boolean;
  /** Why it cannot be called now; absent when it can. */
  gone?: string;
  properties?: ModelSchema['properties'];
}

export interface ToolSet {
  /** In a fixed order, which the prompt cache depends on: servers as configured, each server's tools by name. */
  tools: ModelTool[];
  /** All servers' tools that can be called now, deferred ones included; in the same order. */
  known: readonly NamedTool[];
  /** `tools`, followed by the deferred tools among these names. */
  toolsWith(found: Iterable<string>): ModelTool[];
  /** Also finds a tool whose server is down. */
  find(modelName: string): NamedTool | undefined;
  /** By the server and the tool's own name. */
  of(server: string, name: string): NamedTool | undefined;
}

export interface ToolSetOptions {
  mode?: NameMode;
  /** Budget of all definitions. 0: no limit. */
  toolTokens?: number;
  /** The configuration's filter. */
  isAllowed?: (server: string, name: string) => boolean;
  /** The model is not told of such a tool, which keeps its name: its description may be what was changed. */
  isRefused?: (tool: KnownTool) => boolean;
  notes?: ServerNotes;
  /** Servers in a sandbox that is the session's own. */
  inSandbox?: (server: string) => boolean;
}

const MAX_DESCRIPTION = 4_096;
/** Limit for one server; more than any model can use. */
const MAX_TOOLS = 2_000;

export function buildToolSet(catalogue: Catalogue, options: ToolSetOptions = {}): ToolSet {
  const {
    mode = 'auto',
    toolTokens = 0,
    isAllowed = () => true,
    notes = {},
    inSandbox = () => false,
    isRefused = () => false,
  } = options;
  const servers = [...new Set([...Object.keys(catalogue), ...Object.keys(notes)])];
  // Tools of a server that is down keep their names, so that no other tool is renamed when it goes or comes back.
  const all = Object.entries(catalogue).flatMap(([server, definitions]) =>
    sorted(definitions)
      .filter(({ name }) => isAllowed(server, name))
      .map((definition) => ({ server, name: definition.name, definition })),
  );
  const names = modelNames(all, mode, reservedNames(servers));
  const named = all.flatMap(({ server, definition }, index): NamedTool[] => {
    const name = names[index];
    if (name === undefined) return [];
    const gone = notes[server]?.down;
    return [{ server, ...toModel(name, definition), deferred: false, ...(gone === undefined ? {} : { gone }) }];
  });
  const callable = named.filter((tool) => tool.gone === undefined && !isRefused(tool));
  const deferred = deferredServers(
    callable.map(({ server, model }) => ({ server, tokens: definitionTokens(model) })),
    toolTokens,
  );
  for (const tool of named) tool.deferred = deferred.has(tool.server);
  const builtIn = builtInTools(callable, notes, inSandbox).map((definition): NamedTool => {
    return { server: BUILT_IN, ...toModel(definition.name, definition), deferred: false };
  });
  const byName = new Map([...named, ...builtIn].map((tool) => [tool.model.name, tool]));
  const byServer = new Map([...named, ...builtIn].map((tool) => [toolKey(tool.server, tool.definition.name), tool]));
  const tools = [...callable.filter((tool) => !tool.deferred), ...builtIn].map(({ model }) => model);
  return {
    tools,
    known: callable,
    toolsWith: (found) => {
      const more = [...new Set(found)].flatMap((name) => byName.get(name) ?? []);
      return [...tools, ...more.filter((tool) => tool.deferred && callable.includes(tool)).map(({ model }) => model)];
    },
    find: (name) => byName.get(name),
    of: (server, name) => byServer.get(toolKey(server, name)),
  };
}

/** Sorted by code units; of several tools with the same name, the first. */
function sorted(definitions: readonly ToolDefinition[]): ToolDefinition[] {
  const byName = new Map<string, ToolDefinition>();
  for (const definition of definitions.slice(0, MAX_TOOLS)) {
    if (!byName.has(definition.name)) byName.set(definition.name, definition);
  }
  return [...byName.values()].sort(({ name: a }, { name: b }) => (a < b ? -1 : 1));
}

function toModel(name: string, definition: ToolDefinition): Pick<NamedTool, 'definition' | 'model' | 'properties'> {
  const { schema, properties } = toModelSchema(definition.inputSchema);
  const description = cutText(definition.description, MAX_DESCRIPTION);
  return { definition, model: { name, description, inputSchema: schema }, ...(properties ? { properties } : {}) };
}

function builtInTools(
  callable: readonly NamedTool[],
  notes: ServerNotes,
  inSandbox: (server: string) => boolean,
): ToolDefinition[] {
  const counts = new Map<string, number>();
  for (const { server, deferred } of callable) if (deferred) counts.set(server, (counts.get(server) ?? 0) + 1);
  const found = [...counts].map(([server, tools]) => ({ server, tools }));
  const withNote = (has: (note: ServerNotes[string]) => boolean): string[] =>
    Object.entries(notes).flatMap(([server, note]) => (has(note) ? [server] : []));
  const readable = withNote(({ resources, down }) => resources === true && down === undefined);
  return [
    ...(found.length > 0 ? [searchTools(found)] : []),
    ...(readable.length > 0 ? resourceTools(readable) : []),
    ...(callable.some(({ server }) => inSandbox(server)) ? [RESTART_TOOL] : []),
    ...withNote(({ needsLogin }) => needsLogin === true).map(connectTool),
  ];
}

function toolKey(server: string, name: string): string {
  return `${server}/${name}`;
}
