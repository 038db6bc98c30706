/** May this tool run? The configuration's approval rules, as a pure function. Agent threads. */
import picomatch from 'picomatch';
import type { Config } from '../../src/config.js';
import type { KnownTool } from './mcp/tool-names.js';

export type Action = 'allow' | 'ask' | 'deny';

export interface Policy {
  /** First rule that matches wins; then what the person allowed for the session turns an `ask` into `allow`. */
  decide(tool: KnownTool, allowed: readonly string[]): Action;
}

export function toolKey(tool: KnownTool): string {
  return `${tool.server}/${tool.definition.name}`;
}

export function createPolicy(approvals: Config['approvals']): Policy {
  const rules = approvals.rules.map((rule) => ({
    action: rule.action,
    readOnly: rule.readOnly,
    server: picomatch(rule.server),
    tool: picomatch(rule.tool),
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
      const action = rule?.action ?? approvals.default;
      return action === 'ask' && allowed.includes(toolKey(tool)) ? 'allow' : action;
    },
  };
}
