/** Rules, quotas, prices and budgets that can never match: a slip in a name is silent otherwise. Pure; main thread. */
import type { Config } from '../shared/config.js';
import { nameGlob } from '../shared/name-globs.js';
import { GROUP_NAME_RULE, isGroupName, USER_NAME, USER_NAME_RULE } from '../shared/person.js';
import { BUILT_IN } from '../shared/policy/built-in-tools.js';

type Rule = Config['approvals']['rules'][number];
type Budget = Config['budgets'][number];

const MAX_NAMED = 10;
/** Each rule is compared with those before it: with more, a reload would hold the thread. */
const MAX_COMPARED = 1_000;
const MAX_USER_NAME = 128;

export function* unmatchedWarnings(
  config: Pick<Config, 'approvals' | 'mcpServers' | 'quotas' | 'prices' | 'budgets'>,
): Iterable<string> {
  const { mcpServers, quotas, prices } = config;
  yield* ruleWarnings(config.approvals.rules, Object.keys(mcpServers));
  for (const [index, { server }] of prices.tools.entries()) {
    if (!isServer(server, Object.keys(mcpServers))) {
      yield `prices.tools.${index} prices nothing: ${noServer(server, Object.keys(mcpServers))}`;
    }
  }
  for (const user of Object.keys(quotas.users)) {
    if (!USER_NAME.test(user)) yield `quotas.users.${user} limits nobody: ${USER_NAME_RULE}`;
  }
  for (const group of Object.keys(quotas.groups)) {
    if (!isGroupName(group)) yield `quotas.groups.${group} limits nobody: ${GROUP_NAME_RULE}`;
  }
  yield* budgetWarnings(config.budgets);
}

function* ruleWarnings(rules: readonly Rule[], servers: readonly string[]): Iterable<string> {
  for (const [index, rule] of rules.entries()) {
    const path = `approvals.rules.${index}`;
    if (!isServer(rule.server, servers)) {
      const effect = rule.action === 'deny' ? 'denies nothing' : 'never matches';
      yield `${path} ${effect}: ${noServer(rule.server, servers)}`;
    }
    for (const user of listOf(rule.user) ?? []) {
      if (!canBeUser(user)) yield `${path} never matches the user ${JSON.stringify(user)}: ${USER_NAME_RULE}`;
    }
    if (index >= MAX_COMPARED) continue;
    const wider = rules.slice(0, index).findIndex((before) => covers(before, rule));
    if (wider >= 0)
      yield `${path} never matches: approvals.rules.${wider} stands before it and matches all that it does`;
  }
}

function* budgetWarnings(budgets: readonly Budget[]): Iterable<string> {
  for (const [index, { of, per, name }] of budgets.entries()) {
    const path = `budgets.${index}`;
    if (of === 'user' && name !== undefined && !/[?[\](){}!,]/.test(name) && !canBeUser(name)) {
      yield `${path} never matches the user ${JSON.stringify(name)}: ${USER_NAME_RULE}`;
    }
    const wider = budgets
      .slice(0, index)
      .findIndex((before) => before.of === of && before.per === per && (isAll(before.name) || before.name === name));
    if (wider >= 0)
      yield `${path} never holds: budgets.${wider} has the same \`of\` and \`per\` and matches before it; put the exception first`;
  }
}

function isServer(glob: string, servers: readonly string[]): boolean {
  return [BUILT_IN, ...servers].some(nameGlob(glob));
}

function noServer(glob: string, servers: readonly string[]): string {
  const shown = servers.slice(0, MAX_NAMED).join(', ') + (servers.length > MAX_NAMED ? ', …' : '');
  return `no server of mcpServers is named ${JSON.stringify(glob)}; there ${shown === '' ? 'are none' : `is ${shown}`}`;
}

/** Whether there can be a user whom this name, with `*` for any part, matches. */
function canBeUser(pattern: string): boolean {
  if (!pattern.includes('*')) return USER_NAME.test(pattern);
  const fixed = pattern.replaceAll('*', '');
  return fixed.length <= MAX_USER_NAME && /^[\w.@+|-]*$/.test(fixed);
}

/** Only what is sure: a rule with `args` or `readOnly` covers none, and patterns are compared as texts. */
function covers(wide: Rule, narrow: Rule): boolean {
  if (wide.args !== undefined || wide.readOnly !== undefined) return false;
  // A rule that denies matches our own tools as well, where they are about its server.
  const isSameServer = wide.server === narrow.server && (wide.action === 'deny' || narrow.action !== 'deny');
  if (!isAll(wide.server) && !isSameServer) return false;
  if (!isAll(wide.tool) && wide.tool !== narrow.tool) return false;
  return (
    coversList(wide.user, narrow.user, isAll) &&
    coversList(wide.group, narrow.group) &&
    coversList(wide.role, narrow.role)
  );
}

function coversList(
  wide: string | readonly string[] | undefined,
  narrow: string | readonly string[] | undefined,
  matchesAll: (each: string) => boolean = () => false,
): boolean {
  const wides = listOf(wide);
  if (wides === undefined || wides.some(matchesAll)) return true;
  return listOf(narrow)?.every((each) => wides.includes(each)) ?? false;
}

function isAll(glob: string | undefined): boolean {
  return glob === undefined || glob === '*';
}

function listOf(given: string | readonly string[] | undefined): readonly string[] | undefined {
  return typeof given === 'string' ? [given] : given;
}
