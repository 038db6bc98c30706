/** What is kept of a user, as a tar: for themselves, and for an administrator who may read sessions. Real Redis and Docker. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { auditFolder } from '../../src/audit/files.js';
import { text, tool } from '../helpers/model-server.js';
import { startStack } from '../helpers/stack.js';
import { connect } from '../helpers/ws-client.js';
import { runCli } from '../src/cli/spawn-cli.js';

t.setTimeout(600_000); // whole processes and a sandbox, on a machine that may be busy

const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');
const people = ['ada', 'bob'].map((user) => ({ user, sha256: sha256(`token-of-${user}`) }));
const admins = [
  { user: 'olga', sha256: sha256('token-of-olga'), role: 'operator' },
  { user: 'root', sha256: sha256('token-of-root'), role: 'admin' },
];
const stack = await startStack({ config: { auth: { support: true, tokens: [...people, ...admins] } } });
t.teardown(() => stack.stop());
const { engine, model } = stack;
const folder = mkdtempSync(join(tmpdir(), 'fl-exported-'));
t.teardown(() => rm(folder, { recursive: true, force: true }));

const run = promisify(execFile);
const cli = (who: string, ...args: string[]): ReturnType<typeof runCli> =>
  runCli(t, [...args, '--url', engine.url], { env: { FAIRLEAD_TOKEN: `token-of-${who}` } });

function ask(who: string, path: string, method = 'GET'): Promise<Response> {
  return fetch(engine.url + path, { method, headers: { authorization: `Bearer token-of-${who}` } });
}

/** A session of ada's with a file in a sandbox that runs. */
async function talk(): Promise<string> {
  const client = await connect(engine.wsUrl, { token: 'token-of-ada' });
  const { session } = await client.ready;
  model.enqueue(tool('run_command', { command: 'echo kept > file.txt' }), text('it is written'));
  client.say('write it down');
  client.approve((await client.waitFor('tool:approval_required')).callId);
  await client.turnEnd(1);
  await client.close();
  return session;
}

function entries(): string {
  const log = auditFolder(engine.dataDir);
  return readdirSync(log)
    .map((name) => readFileSync(join(log, name), 'utf8'))
    .join('');
}

const session = await talk();

t.test('a user exports what is theirs: messages, events, usage, and the files of a sandbox that runs', async (t) => {
  const made = await fetch(`${engine.url}/v1/admin/tokens`, {
    method: 'POST',
    headers: { authorization: 'Bearer token-of-root', 'content-type': 'application/json' },
    body: JSON.stringify({ user: 'ada', note: 'of the laptop' }),
  });
  const { token } = (await made.json()) as { token: string };
  const file = join(folder, 'ada.tar');
  const exported = await cli('ada', 'export', file);
  t.match(exported, { code: 0, stdout: /^ada is exported to .*ada\.tar: 1 session, 6 files\n$/ }, exported.stderr);
  await run('tar', ['-xf', file], { cwd: folder });
  const at = (...path: string[]): string => join(folder, 'fairlead-export', ...path);
  const read = (...path: string[]): string => readFileSync(at(...path), 'utf8');
  const messages = JSON.parse(read('sessions', session, 'messages.json')) as { role: string }[];
  t.match(messages[0], { role: 'user' });
  t.match(JSON.stringify(messages), /write it down.*it is written/);
  const lines = read('sessions', session, 'events.ndjson').trimEnd().split('\n');
  t.ok(lines.some((line) => (JSON.parse(line) as { type: string }).type === 'turn:end'));
  t.match(JSON.parse(read('sessions', session, 'session.json')), { session, turns: 1 });
  const [workspace = ''] = readdirSync(at('sessions', session, 'workspaces'));
  const { stdout } = await run('tar', ['-xOf', at('sessions', session, 'workspaces', workspace), './file.txt']);
  t.equal(stdout, 'kept\n');
  t.match(read('tokens.json'), /of the laptop/);
  for (const name of ['tokens.json', 'manifest.json', 'usage.json']) {
    t.notMatch(read(name), token);
    t.notMatch(read(name), sha256(token));
  }
  t.match(JSON.parse(read('usage.json')), { byModel: [{ answers: 2 }] });
  t.match(JSON.parse(read('manifest.json')), { user: 'ada', exportedBy: 'ada', sessions: 1, missing: [] });
  t.match(entries(), /"what":"user_exported","user":"ada"/);
  t.same(readdirSync(join(engine.dataDir, 'exports')), [], 'nothing is left at the server');
  const again = await cli('ada', 'export', file);
  t.match(again, { code: 1, stderr: /exists already/ });
  t.match((await stack.leasedTo(session)).length, 1, 'and the sandbox runs on');
});

t.test('an administrator exports a user with auth.support, which is recorded and told; nobody else may', async (t) => {
  t.equal((await ask('olga', '/v1/admin/users/ada/export')).status, 403);
  t.equal((await ask('ada', '/v1/admin/users/ada/export')).status, 403);
  t.equal((await ask('root', '/v1/admin/users/nobody/export')).status, 404);
  t.equal((await ask('root', '/v1/admin/users/ada/export', 'HEAD')).status, 405);
  t.notMatch(entries(), /"what":"support_look"/);
  const file = join(folder, 'by-root.tar');
  const exported = await cli('root', 'admin', 'users', 'export', 'ada', file, '--json');
  t.equal(exported.code, 0, exported.stderr);
  t.match(JSON.parse(exported.stdout), { user: 'ada', sessions: 1, missing: [] });
  t.match(entries(), /"what":"admin","user":"root".*"act":"user_exported","owner":"ada"/);
  t.match(entries(), new RegExp(`"what":"support_look","user":"root".*"session":"${session}"`));
  const back = await connect(engine.wsUrl, { token: 'token-of-ada', session, after: 0 });
  t.match(await back.waitFor('notice', { from: 0 }), { code: 'support_look', message: /root has read/ });
  await back.close();
});

t.test('without auth.support no administrator exports another, but what is their own', async (t) => {
  const config = { auth: { tokens: [...people, ...admins] } };
  const plain = await startStack({ config });
  t.teardown(() => plain.stop());
  const asRoot = (path: string): Promise<Response> =>
    fetch(plain.engine.url + path, { headers: { authorization: 'Bearer token-of-root' } });
  const refused = await asRoot('/v1/admin/users/ada/export');
  t.match(await refused.json(), { status: 403, code: 'ERR_FORBIDDEN', detail: /auth\.support/ });
  const own = await asRoot('/v1/export');
  t.equal(own.status, 200);
  t.match(own.headers.get('content-disposition'), /filename="root-\d{4}-\d\d-\d\d\.tar"/);
  const bytes = Buffer.from(await own.arrayBuffer());
  t.match(bytes.toString('latin1'), /fairlead-export\/manifest\.json/);
});

t.test('an export that is cut leaves no file, and says so', async (t) => {
  const file = join(folder, 'cut.tar');
  await stack.redis.kill();
  const exported = await cli('ada', 'export', file);
  t.equal(exported.code, 1);
  t.notOk(existsSync(file));
  t.notOk(existsSync(`${file}.part`));
});
