import t from 'tap';
import { policyWarnings } from '../../../src/shared/config-policy.js';
import { ConfigError, parseConfig } from '../../../src/shared/config.js';

function problemsOf(rule: Record<string, unknown>): { path: string; message: string }[] {
  try {
    parseConfig({ approvals: { rules: [{ action: 'deny' }, { action: 'allow', ...rule }] } }, {});
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return [...error.problems];
    throw error;
  }
}

t.test('args that are no JSON Schema end the start, and the problem names the rule', async (t) => {
  const bad: unknown[] = [
    null,
    'SELECT',
    ['sql'],
    true,
    { type: 'banana' },
    { type: 'string' },
    { properties: { sql: { pattern: '(' } } },
    { properties: { sql: { pattern: 7 } } },
    { propertes: { sql: { type: 'string' } } },
    { properties: { sql: { type: 'string', format: 'emial' } } },
    { required: 'sql' },
    { properties: { sql: null } },
    { $ref: 'https://elsewhere.example/schema' },
    { $schema: 'https://elsewhere.example/dialect' },
    { properties: { sql: { enum: ['x'.repeat(70_000)] } } },
  ];
  for (const args of bad) {
    const problems = problemsOf({ args });
    t.match(problems, [{ path: 'approvals.rules.1.args' }], JSON.stringify(args).slice(0, 80));
  }
});

t.test('args of each dialect, with patterns, formats and references, are taken', async (t) => {
  const sql = { type: 'string', pattern: '^(a+)+$' };
  for (const args of [
    {},
    { type: 'object', properties: { sql }, required: ['sql'] },
    { $schema: 'http://json-schema.org/draft-07/schema#', properties: { to: { type: 'string', format: 'email' } } },
    {
      $schema: 'https://json-schema.org/draft/2019-09/schema',
      $defs: { sql },
      properties: { sql: { $ref: '#/$defs/sql' } },
    },
    { anyOf: [{ required: ['a'] }, { not: { required: ['b'] } }], additionalProperties: true },
  ]) {
    t.same(problemsOf({ args }), [], JSON.stringify(args));
  }
});

t.test('nulls, empty names and unknown roles in a rule are problems with their path', async (t) => {
  for (const [key, value] of [
    ['group', null],
    ['group', ''],
    ['group', []],
    ['group', ['a', null]],
    ['user', null],
    ['role', 'root'],
    ['role', 'Admin'],
    ['groups', ['a']],
  ] as const) {
    t.match(problemsOf({ [key]: value }), [{ path: `approvals.rules.1.${key}` }], `${key}: ${JSON.stringify(value)}`);
  }
  t.match(problemsOf({ group: null })[0]?.message, /the name of a group, or a list of them/);
});

function warned(args: object, action = 'allow'): string[] {
  const { approvals } = parseConfig({ approvals: { rules: [{ args, action }] } }, {});
  return [...policyWarnings(approvals.rules)];
}

t.test('a rule that allows calls without what it is about is warned of', async (t) => {
  const open = { properties: { sql: { pattern: '^SELECT' } } };
  t.match(warned(open), [/rules\.0\.args also allows calls without "sql".*required/, /"sql" of other types/]);
  t.same(warned(open, 'deny'), []);
  t.same(warned({ properties: { sql: { type: 'string', pattern: '^SELECT' } }, required: ['sql'] }), []);
});
