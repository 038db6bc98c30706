/** What a person may do: the rules for calls to MCP servers. Main thread and command line. */
import { z } from 'zod';
import { groupName, role } from './config-auth.js';
import { glob, positiveMs } from './config-fields.js';
import { argsProblem, argsWarnings } from './rule-schemas.js';

/** Issuers name groups in many ways, so a group is an exact name and no pattern. */
export const groupNames = z.array(groupName).min(1).max(100);

function oneOrMore<T extends z.ZodType>(one: T, what: string) {
  return z.union([one, z.array(one).min(1).max(100)], { error: `must be ${what}, or a list of them` });
}

const rule = z.strictObject({
  server: glob.default('*'),
  tool: glob.default('*'),
  user: oneOrMore(glob, 'the name of a user with * for any part')
    .optional()
    .describe('Only these users; * stands for any part of a name'),
  group: oneOrMore(groupName, 'the name of a group')
    .optional()
    .describe('Only members of this group, or of one of these; exact names'),
  role: oneOrMore(role, 'user, operator or admin')
    .optional()
    .describe('Only users who have exactly this role, or one of these'),
  args: z
    .record(z.string(), z.unknown(), { error: 'must be a JSON Schema, as an object' })
    .optional()
    .describe('Only calls whose arguments fit this JSON Schema'),
  readOnly: z.boolean().optional().describe('Only tools whose annotation readOnlyHint has this value'),
  action: z.enum(['allow', 'ask', 'deny']),
});

export const approvalsSchema = z
  .strictObject({
    default: z.enum(['allow', 'ask', 'deny']).default('ask'),
    timeoutMs: positiveMs.default(600_000),
    rules: z.array(rule).default([]),
  })
  .prefault({});

type Rules = readonly z.infer<typeof rule>[];

/** Rules whose `args` is no schema: such a rule would match everything, or nothing. */
export function* policyProblems(rules: Rules): Iterable<{ path: string; message: string }> {
  for (const [index, { args }] of rules.entries()) {
    const problem = args && argsProblem(args);
    if (problem !== undefined) yield { path: `approvals.rules.${index}.args`, message: problem };
  }
}

/** Rules that allow more than they seem to. */
export function* policyWarnings(rules: Rules): Iterable<string> {
  for (const [index, { args, action }] of rules.entries()) {
    if (!args || action !== 'allow') continue;
    for (const warning of argsWarnings(args)) yield `approvals.rules.${index}.args ${warning}`;
  }
}
