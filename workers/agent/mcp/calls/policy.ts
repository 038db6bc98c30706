/** What the approval rules and the user's own yeses say of a call. Agent threads. */
import type { Config } from '../../../../src/shared/config.js';
import {
  createRules,
  isHarmless,
  ruledServer,
  type Action,
  type ArgsFit,
  type Asker,
  type DecidedBy as RuledBy,
  type Rules,
} from '../../../../src/shared/policy/policy.js';
import type { PinDifference } from '../../../../src/shared/protocol.js';
import { pinDifference, type Pins } from '../../../../src/shared/tool-pins.js';
import type { ForeignSchemas } from '../../schema/foreign-schemas.js';
import { definitionHash } from '../../../../src/shared/definition-hash.js';
import type { KnownTool } from '../catalogue/tool-names.js';

export type { Action } from '../../../../src/shared/policy/policy.js';

export interface RuledTool extends KnownTool {
  /** A request other than a tool call: nothing that the server says describes it, so there is nothing to pin. */
  isRequest?: boolean;
}

/** `session`: the user has allowed it for the rest of the session. `pin`: the tool is not as it was pinned. */
export type DecidedBy = RuledBy | 'session' | 'pin';

/** As the audit log names it: a rule by its path in the configuration. */
export function ruleName(by: DecidedBy): string {
  if (typeof by === 'object') return `approvals.rules.${by.rule}`;
  return by === 'default' ? 'approvals.default' : by;
}

export interface Decision {
  action: Action;
  by: DecidedBy;
}

/** On whose behalf a call is judged. */
export interface JudgedFor extends Asker {
  /** What the user has allowed for the session. */
  allowed: readonly string[];
}

export interface Policy {
  /** The first rule that matches wins. What the user has allowed for the session turns an `ask` into `allow`, never a `deny`. */
  decide(tool: RuledTool, of: JudgedFor, args?: Record<string, unknown>): Promise<Decision>;
  /** How the tool differs from its pin, and whether that refuses it. Undefined: it does not. */
  pinned(tool: KnownTool): (PinDifference & { isRefused: boolean }) | undefined;
  /** Pins of the data folder; the configuration's outweigh them. */
  setPins(pins: Pins): void;
  /** Rules and pins as the configuration says now. */
  applyConfig(): void;
}

/** What a yes for the rest of the session covers: this tool as it is described now. */
export function permissionKey(tool: KnownTool): string {
  return `${tool.server}/${tool.definition.name}#${definitionHash(tool.definition)}`;
}

/** The tool that the rules are asked about. Our resource tools count as tools of the server that has the resource. */
export function ruledTool(tool: KnownTool, args: Record<string, unknown>): KnownTool {
  const server = ruledServer({ server: tool.server, tool: tool.definition.name, args });
  return server === tool.server ? tool : { ...tool, server };
}

/** `schemas` checks the `args` of rules: a pattern of the configuration may be as slow as one of a server. */
export function createPolicy(
  config: Pick<Config, 'approvals' | 'mcpServers' | 'mcp'>,
  schemas: Pick<ForeignSchemas, 'check'>,
): Policy {
  const newRules = (): Rules =>
    createRules(config, async (rule, schema, args, { user }): Promise<ArgsFit> => {
      const fit = await schemas.check(schema, args, { user, server: `approvals.rules.${rule}` });
      if (fit.unchecked) return 'unknown';
      return fit.fits ? 'fits' : 'misfit';
    });
  let rules = newRules();
  let ofFile: Pins = {};
  let pins: Pins = config.mcp.pins.servers;
  const setPins = (given: Pins): void => {
    ofFile = given;
    pins = { ...given, ...config.mcp.pins.servers };
  };
  const pinned: Policy['pinned'] = ({ server, definition }) => {
    const difference = pinDifference(pins, server, definition);
    return difference && { ...difference, isRefused: config.mcp.pins.onChange === 'refuse' };
  };
  return {
    pinned,
    setPins,
    applyConfig: () => {
      rules = newRules();
      setPins(ofFile);
    },
    async decide(tool, of, args = {}) {
      const { server, definition, isRequest } = tool;
      const { name, readOnly } = definition;
      const call = { server, tool: name, readOnly, args };
      const ruled = await rules.decide(call, of);
      if (ruled.action === 'deny') return ruled;
      const pin = isRequest === true ? undefined : pinned(tool);
      if (pin?.isRefused) return { action: 'deny', by: 'pin' };
      const decision: Decision = pin && ruled.action === 'allow' ? { action: 'ask', by: 'pin' } : ruled;
      if (decision.action !== 'ask') return decision;
      if (isHarmless(call)) return { action: 'allow', by: 'harmless' };
      const isAllowed = of.allowed.includes(permissionKey(ruledTool(tool, args)));
      return isAllowed ? { action: 'allow', by: 'session' } : decision;
    },
  };
}
