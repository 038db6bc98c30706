/** What of the MCP servers counts at once when the file is read again: who may use them and which of their tools, not how they are reached. Pure; main thread. */
import { isDeepStrictEqual } from 'node:util';
import type { McpServerConfig, McpServerConfigs } from '../shared/config-mcp.js';

/** Read with each use, by every thread. */
const LIVE = ['groups', 'tools', 'trustHints', 'timeoutMs'] as const;

export interface ServerDiff {
  live: string[];
  restart: string[];
}

export function diffServers(before: McpServerConfigs, after: McpServerConfigs): ServerDiff {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const pairs = names.map((name) => [`mcpServers.${name}`, serverAt(before, name), serverAt(after, name)] as const);
  const live = pairs.filter(([, old, now]) => old && now && !isDeepStrictEqual(partsOf(old).live, partsOf(now).live));
  const restart = pairs.filter(
    ([, old, now]) => !old || !now || !isDeepStrictEqual(partsOf(old).rest, partsOf(now).rest),
  );
  // The first of two servers has the name of a tool that both have.
  const isMoved = restart.length === 0 && !isDeepStrictEqual(Object.keys(before), Object.keys(after));
  return { live: live.map(([key]) => key), restart: isMoved ? ['mcpServers'] : restart.map(([key]) => key) };
}

/** The servers of before, with the live keys of those that are still there. */
export function effectiveServers(before: McpServerConfigs, after: McpServerConfigs): McpServerConfigs {
  return Object.fromEntries(
    Object.entries(before).map(([name, old]) => {
      const now = serverAt(after, name);
      return [name, now ? ({ ...partsOf(old).rest, ...partsOf(now).live } as McpServerConfig) : old];
    }),
  );
}

function serverAt(servers: McpServerConfigs, name: string): McpServerConfig | undefined {
  return Object.hasOwn(servers, name) ? servers[name] : undefined;
}

function isLive([key]: [string, unknown]): boolean {
  return (LIVE as readonly string[]).includes(key);
}

function partsOf(server: McpServerConfig): { live: object; rest: object } {
  const entries = Object.entries(server);
  return {
    live: Object.fromEntries(entries.filter(isLive)),
    rest: Object.fromEntries(entries.filter((entry) => !isLive(entry))),
  };
}
