/** May this tool run? The configuration's approval rules, as a pure function. Agent threads. */
import type { Config } from '../../../../src/shared/config.js';
import { nameGlob } from '../../../../src/shared/name-globs.js';
import { BUILT_IN, connectsTo, LIST_RESOURCES, READ_RESOURCE, SEARCH_TOOLS } from '../catalogue/built-in.js';
import { definitionHash } from '../catalogue/definition-hash.js';
import type { KnownTool } from '../catalogue/tool-names.js';

export type Action = 'allow' | 'ask' | 'deny';

export interface Policy {
  /** First rule that matches wins; then what the person allowed for the session turns an `ask` into `allow`. */
  decide(tool: KnownTool, allowed: readonly string[]): Action;
}

/** What a yes for the rest of the session is a yes to: this tool as it is described now. */
export function toolKey(tool: KnownTool): string {
  return `${tool.server}/${tool.definition.name}#${definitionHash(tool.definition)}`;
}

/** The tool that rules are about: reading a resource is the business of the server that has it. */
export function ruledTool(tool: KnownTool, args: Record<string, unknown>): KnownTool {
  const { name } = tool.definition;
  if (tool.server !== BUILT_IN || (name !== READ_RESOURCE && name !== LIST_RESOURCES)) return tool;
  const server = args['server'];
  return typeof server === 'string' ? { ...tool, server } : tool;
}

export function createPolicy(approvals: Config['approvals']): Policy {
  const rules = approvals.rules.map((rule) => ({
    action: rule.action,
    readOnly: rule.readOnly,
    server: nameGlob(rule.server),
    tool: nameGlob(rule.tool),
  }));
  return {
    decide(tool, allowed) {
      const rule = rules.find(
        (candidate) =>
          candidate.server(tool.server) &&
          candidate.tool(tool.definition.name) &&
          // A tool that says nothing about itself is not read-only.
          (candidate.readOnly === undefined || candidate.readOnly === (tool.definition.readOnly ?? false)),
      );
      const action = rule?.action ?? (isHarmless(tool) ? 'allow' : approvals.default);
      if (action !== 'ask') return action;
      return isHarmless(tool) || allowed.includes(toolKey(tool)) ? 'allow' : 'ask';
    },
  };
}

/** Searching reads what we know already, and logging in asks the person by itself: only a rule that denies can stop them. */
function isHarmless({ server, definition: { name } }: KnownTool): boolean {
  return server === BUILT_IN && (name === SEARCH_TOOLS || connectsTo(name) !== undefined);
}
