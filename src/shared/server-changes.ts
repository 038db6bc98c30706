/** What tells one definition of an MCP server from another, and what two configurations differ in. Pure; every thread. */
import type { McpServerConfig, McpServerConfigs } from './config-mcp.js';

/** Read with each use: who may use a server and which of its tools, not how it is reached. */
const READ_WITH_USE: ReadonlySet<string> = new Set(['groups', 'tools', 'trustHints', 'timeoutMs']);

/** By name, in the configuration's order. */
export interface ServerChanges {
  added: string[];
  /** They are reached in another way, or are told something else at their start: nothing of before may serve them. */
  changed: string[];
  removed: string[];
}

const keys = new WeakMap<McpServerConfig, string>();

/** Equal keys: one connection may serve both. It holds what the configuration holds, secrets too. */
export function definitionKey(server: McpServerConfig): string {
  let key = keys.get(server);
  if (key === undefined) {
    key = JSON.stringify(definitionOf(server), sortedKeys);
    keys.set(server, key);
  }
  return key;
}

/** What says how the server is reached. */
function definitionOf(server: McpServerConfig): object {
  return Object.fromEntries(Object.entries(server).filter(([key]) => !READ_WITH_USE.has(key)));
}

export function serverChanges(before: McpServerConfigs, after: McpServerConfigs): ServerChanges {
  const [old, now] = [Object.keys(before), Object.keys(after)];
  return {
    added: now.filter((name) => !Object.hasOwn(before, name)),
    changed: now.filter(
      (name) => Object.hasOwn(before, name) && definitionKey(before[name]!) !== definitionKey(after[name]!),
    ),
    removed: old.filter((name) => !Object.hasOwn(after, name)),
  };
}

function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
