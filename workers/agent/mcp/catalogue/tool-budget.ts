/** Chooses the servers whose tools are only found by search, so that all definitions fit a token budget. Pure; agent threads. */
import type { ModelTool } from '../../model/model.js';

export interface Weighed {
  server: string;
  tokens: number;
}

const CHARACTERS_PER_TOKEN = 4;

export function definitionTokens(tool: ModelTool): number {
  return Math.ceil(JSON.stringify([tool.name, tool.description, tool.inputSchema]).length / CHARACTERS_PER_TOKEN);
}

/** Defers the largest servers first, of two equal ones the later, until the rest fits. `budget` 0: no limit. */
export function deferredServers(tools: readonly Weighed[], budget: number): ReadonlySet<string> {
  const weights = new Map<string, number>();
  for (const { server, tokens } of tools) weights.set(server, (weights.get(server) ?? 0) + tokens);
  let total = [...weights.values()].reduce((sum, tokens) => sum + tokens, 0);
  const deferred = new Set<string>();
  if (budget === 0) return deferred;
  const largestFirst = [...weights].toReversed().sort(([, a], [, b]) => b - a);
  for (const [server, tokens] of largestFirst) {
    if (total <= budget) break;
    deferred.add(server);
    total -= tokens;
  }
  return deferred;
}
