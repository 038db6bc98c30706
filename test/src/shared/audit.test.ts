/** An entry as a thread hands it on, and the gate that refuses work whose entries cannot be kept. */
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import {
  AUDIT_ACTS,
  audit,
  audited,
  AuditGate,
  auditTo,
  isUnaudited,
  refuseUnaudited,
  type AuditSink,
} from '../../../src/shared/audit.js';

interface Posted extends AuditSink {
  entries: Record<string, unknown>[];
}

function record(t: Test): Posted {
  const entries: Record<string, unknown>[] = [];
  const post = (entry: string): void => void entries.push(JSON.parse(entry) as Record<string, unknown>);
  const sink = { entries, arguments: 'digest' as const, post, stored: async (entry: string) => post(entry) };
  auditTo(sink);
  t.teardown(() => auditTo(undefined));
  return sink;
}

t.test('an entry says when, what, who, where and with which outcome', async (t) => {
  const { entries } = record(t);
  audit({
    what: 'token_made',
    user: 'ada',
    credential: 'file',
    address: '127.0.0.1',
    about: { token: 'tok_1', groups: ['a', 'b'] },
  });
  audit({ what: 'login_failed', outcome: 'refused', address: '::1' });
  t.match(entries, [
    {
      at: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/,
      what: 'token_made',
      user: 'ada',
      credential: 'file',
      address: '127.0.0.1',
      outcome: 'ok',
    },
    { what: 'login_failed', address: '::1', outcome: 'refused' },
  ]);
  t.same(entries[0]?.['about'], { token: 'tok_1', groups: ['a', 'b'] });
  t.notOk('user' in entries[1]!, 'what is not known is not there');
});

t.test('an entry is one line of a bounded length, whatever a user calls themselves', async (t) => {
  const lines: string[] = [];
  auditTo({ arguments: 'digest', post: (entry) => void lines.push(entry), stored: async () => undefined });
  t.teardown(() => auditTo(undefined));
  audit({
    what: 'login_failed',
    user: `a\n{"what":"admin"}${'b'.repeat(100_000)}`,
    about: { why: '\ud83d', long: 'c'.repeat(100_000), many: Array.from({ length: 1_000 }, () => 'd'.repeat(1_000)) },
  });
  t.equal(lines.length, 1);
  t.notMatch(lines[0], '\n');
  t.ok(lines[0]!.length < 10_000, `${lines[0]!.length} characters`);
  t.match(JSON.parse(lines[0]!), { what: 'login_failed', about: { why: '\ufffd' } });
});

t.test('a call is kept with the digest of its arguments and not with themselves', async (t) => {
  const { entries } = record(t);
  audit({ what: 'tool_run', session: 's', about: { server: 'x', tool: 'y' }, args: { sql: 'SELECT 1' } });
  t.match(entries[0], { about: { server: 'x', tool: 'y', argsSha256: /^[0-9a-f]{64}$/, argsBytes: 18 } });
  t.notMatch(JSON.stringify(entries[0]), 'SELECT');
  auditTo({ arguments: 'full', post: (entry) => void entries.push(JSON.parse(entry)), stored: async () => undefined });
  audit({ what: 'tool_run', args: { sql: 'x'.repeat(1_000) } });
  t.match(entries[1], { about: { args: `{"sql":"${'x'.repeat(1_000)}"}` } }, 'in full where that is configured');
});

t.test('without a log nothing is recorded and nothing refused', async () => {
  audit({ what: 'login' });
  await audited({ what: 'tool_run' });
});

t.test(
  'while the gate is closed, work that must be recorded is refused in every thread, and goes on when it is open',
  async (t) => {
    const { entries } = record(t);
    const gate = new AuditGate();
    const file = new URL('../../../src/shared/audit.js', import.meta.url).href;
    const code = `const { parentPort } = require('node:worker_threads');
    import(${JSON.stringify(file)}).then(({ isUnaudited }) => {
      parentPort.on('message', () => parentPort.postMessage(isUnaudited()));
      parentPort.postMessage('up');
    });`;
    const worker = new Worker(code, { eval: true });
    t.teardown(() => worker.terminate());
    await once(worker, 'message');
    const seen = async (): Promise<unknown> => {
      worker.postMessage('?');
      return ((await once(worker, 'message')) as unknown[])[0];
    };
    t.equal(await seen(), false);
    gate.set('file', 'the disk is full');
    gate.set('sink', 'the collector is away');
    t.same(gate.reasons(), ['the disk is full', 'the collector is away']);
    t.equal(await seen(), true);
    t.throws(() => refuseUnaudited(), { code: 'ERR_UNAVAILABLE' });
    await t.rejects(audited({ what: 'tool_run' }), { code: 'ERR_UNAVAILABLE' });
    t.same(entries, []);
    gate.set('file', undefined);
    t.ok(isUnaudited(), 'the sink is still away');
    gate.set('sink', undefined);
    t.equal(await seen(), false);
    await audited({ what: 'tool_run' });
    t.match(entries, [{ what: 'tool_run' }]);
  },
);

t.test('every act that the log can tell of has a place that records it', async (t) => {
  const root = fileURLToPath(new URL('../../../../', import.meta.url));
  const sources = ['src', 'workers'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.startsWith('cli') && name !== 'shared/audit.ts')
      .map((name) => readFileSync(join(root, folder, name), 'utf8')),
  );
  const unplaced = Object.keys(AUDIT_ACTS).filter((act) => !sources.some((text) => text.includes(`'${act}'`)));
  t.same(unplaced, []);
});
