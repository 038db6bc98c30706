/** The configuration's approval rules as a pure function: is a tool allowed, asked for or denied? Agent threads. */
import type { Config } from '../../../../src/shared/config.js';
import { nameGlob } from '../../../../src/shared/name-globs.js';
import { BUILT_IN, connectsTo, LIST_RESOURCES, READ_RESOURCE, SEARCH_TOOLS } from '../catalogue/built-in.js';
import { definitionHash } from '../catalogue/definition-hash.js';
import type { KnownTool } from '../catalogue/tool-names.js';

export type Action = 'allow' | 'ask' | 'deny';

export interface RuledTool extends KnownTool {
  /** What it says of itself is our own word. */
  isOurs?: boolean;
}

export interface Policy {
  /** The first rule that matches wins. What the user has allowed for the session turns an `ask` into `allow`, never a `deny`. */
  decide(tool: RuledTool, allowed: readonly string[], args?: Record<string, unknown>): Action;
}

/** What a yes for the rest of the session covers: this tool as it is described now. */
export function permissionKey(tool: KnownTool): string {
  return `${tool.server}/${tool.definition.name}#${definitionHash(tool.definition)}`;
}

/** The tool that the rules are asked about. Our resource tools count as tools of the server that has the resource. */
export function ruledTool(tool: KnownTool, args: Record<string, unknown>): KnownTool {
  const { name } = tool.definition;
  if (tool.server !== BUILT_IN || (name !== READ_RESOURCE && name !== LIST_RESOURCES)) return tool;
  const server = args['server'];
  return typeof server === 'string' ? { ...tool, server } : tool;
}

/**
 * A rule with `readOnly` believes servers with `trustHints` alone. A tool of any other server counts as one that writes, and no
 * such rule allows it.
 */
export function createPolicy({ approvals, mcpServers }: Pick<Config, 'approvals' | 'mcpServers'>): Policy {
  const rules = approvals.rules.map((rule) => ({
    action: rule.action,
    readOnly: rule.readOnly,
    server: nameGlob(rule.server),
    tool: nameGlob(rule.tool),
  }));
  return {
    decide(tool, allowed, args = {}) {
      const ruled = ruledTool(tool, args);
      const { server: own, definition, isOurs = own === BUILT_IN } = tool;
      const isTrusted = isOurs || mcpServers[own]?.trustHints === true;
      const isReadOnly = isTrusted && definition.readOnly === true;
      const rule = rules.find(
        ({ action, server, tool: named, readOnly }) =>
          // A rule that denies our own tools denies them for every server.
          (server(ruled.server) || (action === 'deny' && server(tool.server))) &&
          named(tool.definition.name) &&
          (readOnly === undefined || (readOnly === isReadOnly && (isTrusted || action !== 'allow'))),
      );
      const action = rule?.action ?? (isHarmless(tool) ? 'allow' : approvals.default);
      if (action !== 'ask') return action;
      return isHarmless(tool) || allowed.includes(permissionKey(ruled)) ? 'allow' : 'ask';
    },
  };
}

/** Searches and logins need no approval: a search reads what we know already, and a login asks the user itself. A rule can deny them. */
function isHarmless({ server, definition: { name } }: KnownTool): boolean {
  return server === BUILT_IN && (name === SEARCH_TOOLS || connectsTo(name) !== undefined);
}
