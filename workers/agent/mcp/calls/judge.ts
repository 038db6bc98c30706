/** May this call or request reach its MCP server? Turns, `/mcp` and the HTTP routes all ask here first. Pure; agent threads. */
import { FairleadError } from '../../../../src/shared/errors.js';
import { LIST_RESOURCES, READ_RESOURCE } from '../catalogue/built-in.js';
import type { NamedTool } from '../catalogue/tool-names.js';
import { ruledTool, permissionKey, type Policy } from './policy.js';
import type { ToolArgs } from './tool-args.js';

export const DENIED_BY_RULES = 'This call is denied by the approval rules.';

/** `text` says why the call does not run. */
export type Judgement =
  | { verdict: 'unknown' }
  | { verdict: 'gone' | 'deny'; text: string }
  | { verdict: 'bad-args'; problem: string; text: string }
  /** `key` names what a yes for the rest of the session covers. */
  | { verdict: 'allow' | 'ask'; key: string };

export interface JudgeParts {
  policy: Policy;
  toolArgs: ToolArgs;
}

export interface JudgedFor {
  user: string;
  /** What the user has allowed for the session. */
  allowed: readonly string[];
}

/**
 * `args` use the server's own names; undefined means invalid JSON.
 * Arguments that do not fit are refused before anybody is asked, so that nobody approves what cannot run.
 */
export async function judge(
  { policy, toolArgs }: JudgeParts,
  tool: NamedTool | undefined,
  args: Record<string, unknown> | undefined,
  { user, allowed }: JudgedFor,
): Promise<Judgement> {
  if (!tool) return { verdict: 'unknown' };
  const { server, definition, gone } = tool;
  if (gone !== undefined) {
    const text = `The tool ${definition.name} cannot be used now: its server ${server} is not available (${gone}).`;
    return { verdict: 'gone', text };
  }
  const problem = args ? await toolArgs.problem(definition, args, { user, server }) : 'they are not valid JSON';
  if (!args || problem !== undefined) {
    const text = `The arguments do not fit the tool's schema: ${problem}`;
    return { verdict: 'bad-args', problem: String(problem), text };
  }
  const verdict = policy.decide(tool, allowed, args);
  if (verdict === 'deny') return { verdict, text: DENIED_BY_RULES };
  return { verdict, key: permissionKey(ruledTool(tool, args)) };
}

/** Requests other than tool calls. The rules treat each as a tool of that server with this name. */
const RULED_AS = {
  'prompts/list': 'list_prompts',
  'prompts/get': 'get_prompt',
  'resources/list': LIST_RESOURCES,
  'resources/templates/list': LIST_RESOURCES,
  'resources/read': READ_RESOURCE,
} as const;

export type JudgedMethod = keyof typeof RULED_AS;

/** Only `deny` counts: the user makes such a request themselves, so there is nothing to ask. */
export function isDenied(policy: Policy, server: string, method: JudgedMethod): boolean {
  const definition = { name: RULED_AS[method], description: '', inputSchema: {}, readOnly: true };
  return policy.decide({ server, definition, isOurs: true }, []) === 'deny';
}

/** ERR_DENIED where the rules deny this request to this server. */
export function refuseDenied(policy: Policy, server: string, method: JudgedMethod): void {
  if (!isDenied(policy, server, method)) return;
  throw new FairleadError('ERR_DENIED', `the approval rules deny ${RULED_AS[method]} of ${server}`);
}
