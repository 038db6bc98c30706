/** What a right configuration may yet not mean. Pure; main thread. */
import type { Config } from '../shared/config.js';
import { hintWarnings } from '../shared/config-mcp.js';
import { policyWarnings } from '../shared/config-policy.js';
import { unmatchedWarnings } from './unmatched-warnings.js';

export function warningsOf(config: Config): string[] {
  const { rules } = config.approvals;
  return [...hintWarnings(rules, config.mcpServers), ...policyWarnings(rules), ...unmatchedWarnings(config)];
}

/** Of a reload: whoever asked for it may not be able to ask for another one. */
export function lostAdmins(before: Pick<Config, 'auth'>, next: Pick<Config, 'auth'>): string[] {
  if (!mayHaveAdmin(before) || mayHaveAdmin(next)) return [];
  return [
    'auth gives nobody the role admin any more: only tokens made with `fairlead token create --role admin` may reload and administer; `fairlead reload --pid PID` needs none',
  ];
}

function mayHaveAdmin({ auth: { mode, tokens, oidc } }: Pick<Config, 'auth'>): boolean {
  if (mode === 'none' || tokens.length === 0) return true; // the owner of the machine
  return tokens.some(({ role }) => role === 'admin') || (oidc?.roles.admin.length ?? 0) > 0;
}
