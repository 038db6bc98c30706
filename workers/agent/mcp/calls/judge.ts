/** May this call or request reach its MCP server? Turns, `/mcp` and the HTTP routes all ask here first. Agent threads. */
import { FairleadError } from '../../../../src/shared/errors.js';
import type { Asker } from '../../../../src/shared/policy/policy.js';
import { LIST_RESOURCES, READ_RESOURCE } from '../catalogue/built-in.js';
import { differenceText } from '../../../../src/shared/tool-pins.js';
import type { KnownTool, NamedTool } from '../catalogue/tool-names.js';
import { ruledTool, permissionKey, type DecidedBy, type JudgedFor, type Policy } from './policy.js';
import type { ToolArgs } from './tool-args.js';

export const DENIED_BY_RULES = 'This call is denied by the approval rules.';

/** `text` says why the call does not run. */
export type Judgement =
  | { verdict: 'unknown' }
  | { verdict: 'gone'; text: string }
  | { verdict: 'deny'; text: string; by: DecidedBy }
  | { verdict: 'bad-args'; problem: string; text: string }
  /** `key` names what a yes for the rest of the session covers. */
  | { verdict: 'allow' | 'ask'; key: string; by: DecidedBy };

export interface JudgeParts {
  policy: Policy;
  toolArgs: ToolArgs;
}

/**
 * `args` use the server's own names; undefined means invalid JSON.
 * Arguments that do not fit are refused before anybody is asked, so that nobody approves what cannot run.
 */
export async function judge(
  { policy, toolArgs }: JudgeParts,
  tool: NamedTool | undefined,
  args: Record<string, unknown> | undefined,
  of: JudgedFor,
): Promise<Judgement> {
  if (!tool) return { verdict: 'unknown' };
  const { server, definition, gone } = tool;
  if (gone !== undefined) {
    const text = `The tool ${definition.name} cannot be used now: its server ${server} is not available (${gone}).`;
    return { verdict: 'gone', text };
  }
  const problem = args
    ? await toolArgs.problem(definition, args, { user: of.user, server })
    : 'they are not valid JSON';
  if (!args || problem !== undefined) {
    const text = `The arguments do not fit the tool's schema: ${problem}`;
    return { verdict: 'bad-args', problem: String(problem), text };
  }
  const { action: verdict, by } = await policy.decide(tool, of, args);
  if (verdict === 'deny') return { verdict, text: by === 'pin' ? pinRefusal(policy, tool) : DENIED_BY_RULES, by };
  return { verdict, key: permissionKey(ruledTool(tool, args)), by };
}

/** For whoever calls a tool that is not as it was pinned. */
export function pinRefusal(policy: Policy, { server, definition }: KnownTool): string {
  const pin = policy.pinned({ server, definition });
  const why = pin ? `: ${differenceText(pin)}` : '';
  return `The tool ${definition.name} of ${server} is refused${why}. It stays so until an operator has looked at it and pinned it again.`;
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

/** The tool's name that rules have for it. */
export function ruledAs(method: JudgedMethod): string {
  return RULED_AS[method];
}

export interface JudgedRequest {
  server: string;
  method: JudgedMethod;
  /** What the request asks for; the rules see it as the arguments of a call, together with `server`. */
  params?: Record<string, unknown>;
}

/** Only `deny` counts: the user makes such a request themselves, so there is nothing to ask. */
export async function isDenied(policy: Policy, of: Asker, request: JudgedRequest): Promise<boolean> {
  const { server, method, params } = request;
  const definition = { name: RULED_AS[method], description: '', inputSchema: {}, readOnly: true };
  const judged = { user: of.user, who: of.who, allowed: [] };
  const { action } = await policy.decide({ server, definition, isRequest: true }, judged, { ...params, server });
  return action === 'deny';
}

/** ERR_DENIED where the rules deny this request to this server. */
export async function refuseDenied(policy: Policy, of: Asker, request: JudgedRequest): Promise<void> {
  if (!(await isDenied(policy, of, request))) return;
  const { server, method } = request;
  throw new FairleadError('ERR_DENIED', `the approval rules deny ${RULED_AS[method]} of ${server}`);
}

/** Those of the servers to which the rules do not deny this request. */
export async function undenied(
  policy: Policy,
  of: Asker,
  servers: readonly string[],
  request: Omit<JudgedRequest, 'server'>,
): Promise<string[]> {
  const denied = await Promise.all(servers.map((server) => isDenied(policy, of, { ...request, server })));
  return servers.filter((_, index) => denied[index] !== true);
}
