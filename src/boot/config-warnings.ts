/** What a right configuration may yet not mean. Pure; main thread. */
import type { Config } from '../shared/config.js';
import { hintWarnings } from '../shared/config-mcp.js';
import { policyWarnings } from '../shared/config-policy.js';
import { unmatchedWarnings } from './unmatched-warnings.js';

export function warningsOf(config: Config): string[] {
  const { rules } = config.approvals;
  return [...hintWarnings(rules, config.mcpServers), ...policyWarnings(rules), ...unmatchedWarnings(config)];
}
