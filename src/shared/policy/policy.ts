/** The configuration's approval rules as a function: is a call allowed, asked for or denied, and which rule says so? Every thread. */
import type { Config } from '../config.js';
import { nameGlob, userWildcard } from '../name-globs.js';
import { standingOf, type Standing } from '../person.js';
import { BUILT_IN, connectsTo, LIST_RESOURCES, READ_RESOURCE, SEARCH_TOOLS } from './built-in-tools.js';

export type Action = 'allow' | 'ask' | 'deny';

/** Who makes the call. Without `who` (rows from before there was any) it is somebody without rights. */
export interface Asker {
  user: string;
  who?: Standing | undefined;
}

export interface RuledCall {
  server: string;
  tool: string;
  /** The tool's own word. */
  readOnly?: boolean | undefined;
  args: Record<string, unknown>;
}

/** What decided: a rule of the configuration by its index, its default, or that the tool is harmless. */
export type DecidedBy = { rule: number } | 'default' | 'harmless';

export interface Decision {
  action: Action;
  by: DecidedBy;
}

/** `unknown`: the check took too long or is not possible, so that neither is sure. */
export type ArgsFit = 'fits' | 'misfit' | 'unknown';

/** Checks arguments against the `args` of a rule. Never holds the thread, and never rejects. */
export type CheckArgs = (
  rule: number,
  schema: Readonly<Record<string, unknown>>,
  args: Record<string, unknown>,
  asker: Asker,
) => Promise<ArgsFit>;

/** Told of each rule that was looked at; `why` is absent for one that matches. */
export type OnRule = (rule: number, why?: Mismatch) => void;

export type Mismatch = 'server' | 'tool' | 'user' | 'group' | 'role' | 'readOnly' | 'args' | 'args-unknown';

export interface Rules {
  decide(call: RuledCall, asker: Asker, onRule?: OnRule): Promise<Decision>;
}

type Rule = Config['approvals']['rules'][number];

const STRICTNESS: readonly Action[] = ['allow', 'ask', 'deny'];

/**
 * The first rule that matches wins. Where a rule's `args` cannot be checked, it may match or not: the stricter of both outcomes holds, so
 * that no argument is allowed by being hard to check.
 */
export function createRules(config: Pick<Config, 'approvals' | 'mcpServers'>, checkArgs: CheckArgs): Rules {
  const { approvals, mcpServers } = config; // a call that is judged now is judged by these to its end
  const rules = approvals.rules.map(toMatcher);
  return {
    async decide(call, asker, onRule = () => undefined) {
      const { server, tool, readOnly } = call;
      const ruled = ruledServer(call);
      // Whether a resource or a prompt is only read, its server knows alone, whichever tool or request of ours asks for it.
      const isTrusted =
        ruled === BUILT_IN || (Object.hasOwn(mcpServers, ruled) && mcpServers[ruled]?.trustHints === true);
      const facts = { server, tool, ruled, isTrusted, isReadOnly: isTrusted && readOnly === true };
      const doubtful: Decision[] = [];
      for (const [index, { action, args, mismatch }] of rules.entries()) {
        const why = mismatch(facts, asker);
        if (why !== undefined) {
          onRule(index, why);
          continue;
        }
        const fit = args === undefined ? 'fits' : await checkArgs(index, args, call.args, asker);
        if (fit === 'fits') {
          onRule(index);
          return strictest([{ action, by: { rule: index } }, ...doubtful]);
        }
        onRule(index, fit === 'unknown' ? 'args-unknown' : 'args');
        if (fit === 'unknown') doubtful.push({ action, by: { rule: index } });
      }
      const rest: Decision = isHarmless(call)
        ? { action: 'allow', by: 'harmless' }
        : { action: approvals.default, by: 'default' };
      return strictest([rest, ...doubtful]);
    },
  };
}

/** The server that the rules are asked about. Our resource tools count as tools of the server that has the resource. */
export function ruledServer({ server, tool, args }: Pick<RuledCall, 'server' | 'tool' | 'args'>): string {
  if (server !== BUILT_IN || (tool !== READ_RESOURCE && tool !== LIST_RESOURCES)) return server;
  const named = args['server'];
  return typeof named === 'string' ? named : server;
}

/** Searches and logins need no approval: a search reads what we know already, and a login asks the user itself. A rule can deny them. */
export function isHarmless({ server, tool }: Pick<RuledCall, 'server' | 'tool'>): boolean {
  return server === BUILT_IN && (tool === SEARCH_TOOLS || connectsTo(tool) !== undefined);
}

interface Facts {
  /** The tool's own server, and the one that the rules are asked about. */
  server: string;
  ruled: string;
  tool: string;
  isTrusted: boolean;
  isReadOnly: boolean;
}

function toMatcher({ action, args, readOnly, role, group, ...rule }: Rule) {
  const isServer = nameGlob(rule.server);
  const isTool = nameGlob(rule.tool);
  const isUser = rule.user === undefined ? undefined : userWildcard(rule.user);
  const groups = listOf(group);
  const roles = listOf(role);
  /** Which part of the rule does not match; undefined when all do, but for `args`. */
  const mismatch = (facts: Facts, asker: Asker): Mismatch | undefined => {
    // A rule that denies our own tools denies them for every server.
    if (!isServer(facts.ruled) && !(action === 'deny' && isServer(facts.server))) return 'server';
    if (!isTool(facts.tool)) return 'tool';
    if (isUser && !isUser(asker.user)) return 'user';
    const standing = standingOf(asker.who);
    if (groups && !groups.some((name) => standing.groups.includes(name))) return 'group';
    if (roles && !roles.includes(standing.role)) return 'role';
    if (readOnly === undefined) return undefined;
    // A rule with `readOnly` believes servers with `trustHints` alone. A tool of any other server counts as one that writes, and no such
    // rule allows it.
    const isMeant = readOnly === facts.isReadOnly && (facts.isTrusted || action !== 'allow');
    return isMeant ? undefined : 'readOnly';
  };
  return { action, args, mismatch };
}

/** Undefined: the rule does not say. */
function listOf<T>(given: T | readonly T[] | undefined): readonly T[] | undefined {
  if (given === undefined) return undefined;
  return Array.isArray(given) ? (given as readonly T[]) : [given as T];
}

/** The first of the strictest. */
function strictest(decisions: readonly [Decision, ...Decision[]]): Decision {
  return decisions.reduce((most, each) =>
    STRICTNESS.indexOf(each.action) > STRICTNESS.indexOf(most.action) ? each : most,
  );
}
