/** May this call or request reach its MCP server? Turns, `/mcp` and the HTTP routes all ask here first. Pure; agent threads. */
import { FairleadError } from '../../../../src/shared/errors.js';
import { LIST_RESOURCES, READ_RESOURCE } from '../catalogue/built-in.js';
import type { NamedTool } from '../catalogue/tool-names.js';
import { ruledTool, permissionKey, type Policy } from './policy.js';
import type { ToolArgs } from './tool-args.js';

/** `text` tells the caller why the call does not run. */
export type Judgement =
  | { verdict: 'unknown' }
  | { verdict: 'gone' | 'deny'; text: string }
  | { verdict: 'bad-args'; problem: string; text: string }
  /** `key`: what a yes for the rest of the session is about. */
  | { verdict: 'allow' | 'ask'; key: string };

export interface JudgeParts {
  policy: Policy;
  toolArgs: ToolArgs;
}

/**
 * `args` by the server's own names; undefined where they are not valid JSON. `allowed`: what the user has allowed for the
 * session. An unfit call is refused before a person is asked, so that nobody approves what cannot run.
 */
export function judge(
  { policy, toolArgs }: JudgeParts,
  tool: NamedTool | undefined,
  args: Record<string, unknown> | undefined,
  allowed: readonly string[],
): Judgement {
  if (!tool) return { verdict: 'unknown' };
  const { server, definition, gone } = tool;
  if (gone !== undefined) {
    const text = `The tool ${definition.name} cannot be used now: its server ${server} is not available (${gone}).`;
    return { verdict: 'gone', text };
  }
  const problem = args ? toolArgs.problem(definition, args) : 'they are not valid JSON';
  if (!args || problem !== undefined) {
    const text = `The arguments do not fit the tool's schema: ${problem}`;
    return { verdict: 'bad-args', problem: String(problem), text };
  }
  const verdict = policy.decide(tool, allowed, args);
  if (verdict === 'deny') return { verdict, text: 'This call is denied by the server’s rules.' };
  return { verdict, key: permissionKey(ruledTool(tool, args)) };
}

/** Requests that are no tool calls. The rules are asked about a tool of that server with this name. */
const RULED_AS = {
  'prompts/list': 'list_prompts',
  'prompts/get': 'get_prompt',
  'resources/list': LIST_RESOURCES,
  'resources/templates/list': LIST_RESOURCES,
  'resources/read': READ_RESOURCE,
} as const;

export type JudgedMethod = keyof typeof RULED_AS;

/** Only `deny` counts: a user who makes such a request has decided on it already. */
export function isDenied(policy: Policy, server: string, method: JudgedMethod): boolean {
  const definition = { name: RULED_AS[method], description: '', inputSchema: {}, readOnly: true };
  return policy.decide({ server, definition }, []) === 'deny';
}

/** ERR_DENIED where the rules deny this request to this server. */
export function refuseDenied(policy: Policy, server: string, method: JudgedMethod): void {
  if (!isDenied(policy, server, method)) return;
  throw new FairleadError('ERR_DENIED', `the approval rules deny ${RULED_AS[method]} of ${server}`);
}
