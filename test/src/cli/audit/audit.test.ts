/** `fairlead audit` as a person calls it, on a log that the server's writer has written. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { auditFolder, headFile } from '../../../../src/audit/files.js';
import { AuditCommands } from '../../../../src/cli/audit/audit.js';
import { CLI } from '../../../helpers/engine.js';
import { auditKit, entryOf, type Kit } from '../../audit/audit-kit.js';
import { runCli, type Outcome } from '../spawn-cli.js';

const ENTRIES = [
  entryOf({ what: 'login', user: 'ada', credential: 'tok_1', address: '192.0.2.1' }),
  entryOf({ what: 'tool_run', user: 'ada', session: 's1', about: { tool: 'look', server: 'docs' } }),
  entryOf({ what: 'tool_done', user: 'ada', session: 's1', outcome: 'failed', about: { tool: 'look' } }),
  entryOf({ what: 'login_failed', outcome: 'refused', about: { why: 'a \u001b[2J b' } }),
  entryOf({ what: 'message_accepted', user: 'bob', session: 's2', about: { turn: 1 } }),
];

async function fiveEntries(t: Test): Promise<Kit> {
  const kit = auditKit(t);
  for (const [index, entry] of ENTRIES.entries()) {
    const writer = kit.open({ today: () => `2026-11-${20 + index}` });
    writer.post(entry.replace(/"at":"[^"]+"/, `"at":"2026-11-${20 + index}T12:00:00.000Z"`));
    await writer.close();
  }
  return kit;
}

const run = (t: Test, kit: Kit, ...args: string[]): Promise<Outcome> =>
  runCli(t, ['audit', ...args], { env: { FAIRLEAD_DATA: kit.dataDir } });
const numbers = ({ stdout }: Outcome): number[] => [...stdout.matchAll(/ #(\d+) /g)].map(([, n]) => Number(n));

t.test('tail shows the newest entries, and no terminal obeys what is in them', async (t) => {
  const kit = await fiveEntries(t);
  const shown = await run(t, kit, 'tail', '-n', '2');
  t.same(numbers(shown), [4, 5]);
  t.match(shown.stdout, /2026-11-24T12:00:00.000Z {2}#5 {2}message_accepted {2}bob {2}s2 {2}turn=1\n/);
  t.notMatch(shown.stdout, '\u001b');
  const json = await run(t, kit, 'tail', '--json');
  t.equal(json.stdout, `${kit.lines().join('\n')}\n`, 'as JSON, the lines as they are');
});

t.test('tail -f shows what comes while the server writes, into the next file too', async (t) => {
  const kit = await fiveEntries(t);
  const writer = kit.open({ today: () => '2026-11-25' });
  const child = spawn(process.execPath, [CLI, 'audit', 'tail', '-f', '-n', '1'], {
    env: { ...process.env, FAIRLEAD_DATA: kit.dataDir },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill());
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  t.match((await lines.next()).value, '#5');
  for (const n of [6, 7]) {
    writer.post(entryOf({ what: 'message_accepted', user: 'ada', session: `s${n}` }));
    t.match((await lines.next()).value, `#${n}`);
  }
  child.kill('SIGINT');
  t.same(await once(child, 'exit'), [0, null], 'Ctrl-C ends it');
});

t.test('search finds by user, session, act, outcome and time', async (t) => {
  const kit = await fiveEntries(t);
  t.same(numbers(await run(t, kit, 'search', '--user', 'ada')), [1, 2, 3]);
  t.same(numbers(await run(t, kit, 'search', '--session', 's1', '--outcome', 'failed')), [3]);
  t.same(numbers(await run(t, kit, 'search', '--what', 'tool')), [2, 3]);
  t.same(numbers(await run(t, kit, 'search', '--from', '2026-11-21', '--to', '2026-11-22')), [2, 3], 'whole days');
  t.same(numbers(await run(t, kit, 'search', '--from', '2026-11-22T12:00:00.001Z')), [4, 5]);
  const wrong = await run(t, kit, 'search', '--from', 'yesterday');
  t.equal(wrong.code, 1);
  t.match(wrong.stderr, /--from yesterday: write a day/);
});

t.test('what no entry can have is told, and does not look as if nothing had happened', async (t) => {
  const kit = await fiveEntries(t);
  const commands = new AuditCommands({ dataDir: kit.dataDir, json: true, write: (text) => t.fail(text) });
  for (const [filter, told] of [
    [{ what: 'logn' }, /--what logn: no act begins so; there are .*login_failed/],
    [{ outcome: 'bad' }, /--outcome bad: write one of ok, refused, failed/],
    [{ user: 'a da' }, /--user a da: a user is 1–128/],
    [{ session: 's 1' }, /--session s 1: a session is/],
  ] as const) {
    await t.rejects(commands.search(filter), { code: 'ERR_CONFIG', message: told });
  }
  const wrong = await run(t, kit, 'tail', '-n', 'x');
  t.match(wrong, { code: 2, stdout: '', stderr: /number of entries/ });
});

t.test('verify says that the chain is whole, or names the first entry that is not as it was written', async (t) => {
  const kit = await fiveEntries(t);
  const whole = await run(t, kit, 'verify');
  t.equal(whole.code, 0, whole.stderr);
  t.match(whole.stdout, /^5 entries in 5 files, from 1 to 5\.$/m);
  t.match(whole.stdout, 'The chain is whole.');
  const known = /keep elsewhere: (\S+)/.exec(whole.stdout)?.[1] ?? '';
  t.equal((await run(t, kit, 'verify', '--expect', known)).code, 0);
  const file = join(auditFolder(kit.dataDir), kit.files()[2]!);
  writeFileSync(file, readFileSync(file, 'utf8').replace('ada', 'eve'));
  const broken = await run(t, kit, 'verify');
  t.equal(broken.code, 1);
  t.match(broken.stdout, /BROKEN: 000000000003-2026-11-22.jsonl line 1, entry 3: edited/);
  t.match(JSON.parse((await run(t, kit, 'verify', '--json')).stdout), { break: { n: 3, damage: 'edited', line: 1 } });
});

t.test(
  'verify exits with 1 without the head, with 2 where the log says what is missing, and with 0 after what is known',
  async (t) => {
    const kit = await fiveEntries(t);
    rmSync(headFile(kit.dataDir));
    const unproven = await run(t, kit, 'verify');
    t.equal(unproven.code, 1);
    t.match(unproven.stdout, /BROKEN: audit-head line 1: missing/);
    const writer = kit.open();
    writer.post(ENTRIES[0]!);
    await writer.close();
    const admitted = await run(t, kit, 'verify');
    t.equal(admitted.code, 2, admitted.stdout);
    t.match(admitted.stdout, /In 1 of them the log itself says that entries are missing: 6\./);
    t.notMatch(admitted.stdout, 'The chain is whole.');
    const known = /keep elsewhere: (\S+)/.exec(admitted.stdout)?.[1] ?? '';
    t.equal((await run(t, kit, 'verify', '--after', known)).code, 0);
    t.match((await run(t, kit, 'verify', '--after', 'x')).stderr, /--after x: write NUMBER:HASH/);
  },
);

t.test('verify counts one file as one file', async (t) => {
  const kit = auditKit(t);
  const writer = kit.open();
  for (const entry of ENTRIES) writer.post(entry);
  await writer.close();
  t.match((await run(t, kit, 'verify')).stdout, /^5 entries in 1 file, from 1 to 5\.$/m);
});

t.test('a folder without a log is told', async (t) => {
  const kit = auditKit(t);
  const outcome = await run(t, kit, 'verify');
  t.equal(outcome.code, 1);
  t.match(outcome.stderr, /has no audit log: set FAIRLEAD_DATA/);
});
