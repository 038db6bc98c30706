/** What the audit log keeps of a call's arguments. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { auditedArguments } from '../../../src/shared/audit-arguments.js';

t.test('equal arguments have one digest, in whatever order their keys came', async (t) => {
  const json = '{"a":{"x":[1,{"p":null,"q":2}],"y":"ü"},"b":true}';
  const facts = auditedArguments({ b: true, a: { y: 'ü', x: [1, { q: 2, p: null }] } }, 'digest');
  t.same(facts, { argsSha256: createHash('sha256').update(json).digest('hex'), argsBytes: Buffer.byteLength(json) });
  t.not(auditedArguments({ b: false }, 'digest').argsSha256, auditedArguments({ b: true }, 'digest').argsSha256);
});

t.test('in full they are kept without secrets, and the digest is that of the whole', async (t) => {
  const args = { path: 'a.txt', password: 'hunter2' };
  const { args: shown, ...facts } = auditedArguments(args, 'full');
  t.equal(shown, '{"password":"[redacted]","path":"a.txt"}');
  t.same(facts, auditedArguments(args, 'digest'));
});

t.test('long arguments are kept as their beginning, which says so', async (t) => {
  const { args, argsCut, argsBytes } = auditedArguments({ text: 'x'.repeat(100_000) }, 'full');
  t.equal(args?.length, 16_384);
  t.equal(argsCut, true);
  t.equal(argsBytes, 100_011);
});

t.test('arguments of too many levels are recorded, too', async (t) => {
  let deep: Record<string, unknown> = {};
  for (let level = 0; level < 100_000; level++) deep = { deep };
  for (const how of ['digest', 'full'] as const) t.match(auditedArguments(deep, how), { argsBytes: 4 });
});
