import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { text, tool } from '../helpers/model-server.js';
import { startStack } from '../helpers/stack.js';
import { connect, type TestClient } from '../helpers/ws-client.js';

const stack = await startStack({
  config: {
    sandbox: { hibernateAfterMs: 1_000, pool: { min: 1, max: 2 } },
    approvals: { default: 'allow', rules: [{ tool: 'list_files', action: 'ask' }] },
  },
});
t.teardown(() => stack.stop());
const { engine, model } = stack;

const archives = (): Promise<string[]> => readdir(join(engine.dataDir, 'workspaces'));

async function open(t: Test, session?: string): Promise<{ client: TestClient; session: string }> {
  const client = await connect(engine.wsUrl, session === undefined ? {} : { session });
  t.teardown(() => client.close());
  return { client, session: (await client.ready).session };
}

async function call(client: TestClient, name: string, args: object): Promise<{ ok: boolean; said: string }> {
  model.enqueue(tool(name, args), text('done'));
  client.say(name);
  const result = await client.waitFor('tool:result');
  await client.turnEnd();
  return { ok: result.ok, said: JSON.stringify(result.content) };
}

async function hibernated(session: string): Promise<void> {
  const leased = engine.logs.findLast((line) => line.msg === 'sandbox leased' && line['session'] === session);
  await engine.waitForLog((line) => line.msg === 'sandbox hibernated' && line['sandbox'] === leased?.['sandbox']);
}

t.test('an idle sandbox goes, and its files are there at the next call', async (t) => {
  const { client, session } = await open(t);
  await call(client, 'write_file', { path: 'kept/notes.txt', content: 'remember me' });
  t.equal((await stack.leasedTo(session)).length, 1);
  await hibernated(session);
  t.same(await stack.containers(session), []);
  t.same(await archives(), [`${session}~workspace.tar.lz4`]);
  t.match(await call(client, 'read_file', { path: 'kept/notes.txt' }), { ok: true, said: /remember me/ });
  t.same(await archives(), [`${session}~workspace.tar.lz4`], 'it stays as the newest save');
  t.equal((await stack.leasedTo(session)).length, 1);

  t.test('also while somebody is asked, and without anybody connected', async (t) => {
    model.enqueue(tool('list_files', { path: '.' }), text('listed'));
    client.say('list');
    const asked = await client.waitFor('tool:approval_required');
    await hibernated(session);
    t.same(await stack.containers(session), []);
    client.approve(asked.callId);
    t.match(JSON.stringify((await client.waitFor('tool:result')).content), /kept/);
    await client.turnEnd();
    await client.terminate();
    await hibernated(session);
    t.same(await stack.containers(session), []);
  });

  t.test('and when the server is started again', async (t) => {
    const { client } = await open(t, session);
    await call(client, 'write_file', { path: 'kept/more.txt', content: 'and this' });
    await engine.restart();
    t.same(await archives(), [`${session}~workspace.tar.lz4`]);
    const again = await open(t, session);
    t.match(await call(again.client, 'read_file', { path: 'kept/more.txt' }), { ok: true, said: /and this/ });
    t.match(await call(again.client, 'read_file', { path: 'kept/notes.txt' }), { ok: true, said: /remember me/ });
  });

  t.test('a stop that cannot save the workspace destroys nothing: the next start has the same sandbox', async (t) => {
    const { client } = await open(t, session);
    await call(client, 'write_file', { path: 'kept/last.txt', content: 'not saved' });
    const [before] = await stack.leasedTo(session);
    await mkdir(join(engine.dataDir, 'workspaces', `${session}~workspace.tar.lz4.tmp`)); // no save can write there
    await engine.restart();
    // Its id in the new server's log: leased again, or saved at last if nobody was quicker.
    await engine.waitForLog((line) => line['sandbox'] === before?.id);
    const again = await open(t, session);
    t.match(await call(again.client, 'read_file', { path: 'kept/last.txt' }), { ok: true, said: /not saved/ });
  });

  t.test('a session that is deleted leaves neither container nor archive', async (t) => {
    await hibernated(session);
    t.same(await archives(), [`${session}~workspace.tar.lz4`]);
    t.equal((await fetch(`${engine.url}/v1/sessions/${session}`, { method: 'DELETE' })).status, 204);
    t.same(await archives(), []);
    t.same(await stack.containers(session), []);
  });
});

t.test('a broken archive is told to the person, kept aside, and never an empty workspace without a word', async (t) => {
  const { client, session } = await open(t);
  await call(client, 'write_file', { path: 'notes.txt', content: 'remember me' });
  await hibernated(session);
  const [name = ''] = await archives();
  const path = join(engine.dataDir, 'workspaces', name);
  const bytes = await readFile(path);
  bytes[40] = (bytes[40] ?? 0) ^ 1;
  await writeFile(path, bytes);
  const failed = await call(client, 'read_file', { path: 'notes.txt' });
  t.equal(failed.ok, false);
  t.match(failed.said, new RegExp(`damaged.*${name}\\.broken-1; the next call starts with an empty workspace`));
  t.same(await archives(), [`${name}.broken-1`]);
  t.match(await call(client, 'read_file', { path: 'notes.txt' }), {
    ok: false,
    said: /does not exist/,
  });
  t.equal((await fetch(`${engine.url}/v1/sessions/${session}`, { method: 'DELETE' })).status, 204);
  t.same(await archives(), []);
});
