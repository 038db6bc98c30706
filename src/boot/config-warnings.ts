/** What a right configuration may yet not mean. Pure; main thread. */
import type { Config } from '../shared/config.js';
import { hintWarnings } from '../shared/config-mcp.js';
import { policyWarnings } from '../shared/config-policy.js';

export function warningsOf({ approvals: { rules }, mcpServers }: Config): string[] {
  return [...hintWarnings(rules, mcpServers), ...policyWarnings(rules)];
}
