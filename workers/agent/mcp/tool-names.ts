/** Which name the model knows a tool by, and back. Pure; runs in agent threads. */
import type { ToolDefinition } from '../../../src/tool-definition.js';
import type { Catalogue } from '../messages.js';
import type { ModelTool } from '../model/model.js';

export interface KnownTool {
  server: string;
  definition: ToolDefinition;
}

export interface ToolSet {
  /** In the catalogue's order, always the same: the prompt cache depends on it. */
  tools: ModelTool[];
  find(modelName: string): KnownTool | undefined;
}

const MAX_NAME = 64;

/**
 * A tool's own name where it is the only one of that name, else `server__tool`. The Messages API takes
 * ^[a-zA-Z0-9_-]{1,64}$: other characters become `_`, and what then collides or is too long gets a number.
 */
export function buildToolSet(catalogue: Catalogue): ToolSet {
  const counts = new Map<string, number>();
  for (const tools of Object.values(catalogue)) {
    for (const tool of tools) counts.set(tool.name, (counts.get(tool.name) ?? 0) + 1);
  }
  const byName = new Map<string, KnownTool>();
  const tools: ModelTool[] = [];
  for (const [server, definitions] of Object.entries(catalogue)) {
    for (const definition of definitions) {
      const plain = counts.get(definition.name) === 1 ? definition.name : `${server}__${definition.name}`;
      const name = freeName(plain.replaceAll(/[^a-zA-Z0-9_-]/g, '_'), byName);
      byName.set(name, { server, definition });
      tools.push({ name, description: definition.description, inputSchema: definition.inputSchema });
    }
  }
  return { tools, find: (name) => byName.get(name) };
}

function freeName(wanted: string, taken: ReadonlyMap<string, unknown>): string {
  const base = wanted.slice(0, MAX_NAME) || '_';
  for (
    let number = 1, name = base;
    ;
    number++, name = `${base.slice(0, MAX_NAME - 1 - String(number).length)}_${number}`
  ) {
    if (!taken.has(name)) return name;
  }
}
