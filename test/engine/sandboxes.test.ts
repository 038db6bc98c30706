/** Operators see the sandboxes of a server, administrators end one: real Docker. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { docker } from '../helpers/docker.js';
import { tool, text } from '../helpers/model-server.js';
import { startStack } from '../helpers/stack.js';
import { connect } from '../helpers/ws-client.js';
import { runCli } from '../src/cli/spawn-cli.js';

const sha256 = (token: string): string => createHash('sha256').update(token).digest('hex');
const stack = await startStack({
  config: {
    auth: {
      tokens: [
        { user: 'olga', sha256: sha256('token-of-olga'), role: 'operator' },
        { user: 'root', sha256: sha256('token-of-root'), role: 'admin' },
        { user: 'ada', sha256: sha256('token-of-ada') },
      ],
    },
  },
});
t.teardown(() => stack.stop());
const { engine, model } = stack;

async function ask(
  who: string,
  method: string,
  path: string,
  body?: object,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const answer = await fetch(engine.url + path, {
    method,
    headers: { authorization: `Bearer token-of-${who}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

t.test(
  'a sandbox is listed with its session, image and memory; ended, its files come back in a fresh one',
  async (t) => {
    const ada = await connect(engine.wsUrl, { token: 'token-of-ada' });
    t.teardown(() => ada.close());
    const { session } = await ada.ready;
    model.enqueue(tool('run_command', { command: 'mkdir sub; cd sub; echo kept > ../file' }), text('done'));
    ada.say('write');
    ada.approve((await ada.waitFor('tool:approval_required')).callId);
    await ada.turnEnd(1);
    const [container] = await stack.leasedTo(session);
    const listed = await ask('olga', 'GET', `/v1/admin/sandboxes?session=${session}`);
    t.match(listed, {
      status: 200,
      body: { sandboxes: [{ sandbox: container!.id, state: 'leased', session, user: 'ada', server: 'workspace' }] },
    });
    const [shown] = listed.body['sandboxes'] as {
      memoryBytes: number;
      maxMemoryBytes: number;
      image: string;
      leasedAt: number;
    }[];
    const said = await docker().getContainer(container!.id).stats({ stream: false });
    // Not every kernel lets Docker count it.
    if (said.memory_stats.usage === undefined) t.notOk('memoryBytes' in shown!);
    else t.ok(shown!.memoryBytes > 1_000_000 && shown!.memoryBytes < shown!.maxMemoryBytes, String(shown!.memoryBytes));
    t.ok(shown!.image.length > 0 && shown!.leasedAt <= Date.now());
    t.equal((await ask('ada', 'GET', '/v1/admin/sandboxes')).status, 403);
    t.equal((await ask('olga', 'POST', `/v1/admin/sandboxes/${container!.id}/end`, {})).status, 403);
    for (const id of ['nonsense', 'a'.repeat(64), '..%2F..', container!.id.slice(0, 11), '%0A']) {
      t.match((await ask('root', 'POST', `/v1/admin/sandboxes/${id}/end`, {})).status, 404, id);
    }
    const cli = await runCli(
      t,
      ['admin', 'sandboxes', 'end', container!.id.slice(0, 12), '--yes', '--url', engine.url],
      {
        env: { FAIRLEAD_TOKEN: 'token-of-root' },
      },
    );
    t.match(cli, { code: 0, stdout: /its files are saved/ }, cli.stderr);
    t.same(await stack.containers(session), []);
    model.enqueue(tool('run_command', { command: 'cat file' }), text('done'));
    ada.say('read');
    ada.approve((await ada.waitFor('tool:approval_required')).callId);
    const result = await ada.waitFor('tool:result');
    t.match(JSON.stringify(result.content), /kept.*a new shell, since the sandbox was saved and restored meanwhile/);
    await ada.turnEnd(2);
    const table = await runCli(t, ['admin', 'sandboxes', 'list', '--url', engine.url], {
      env: { FAIRLEAD_TOKEN: 'token-of-olga' },
    });
    t.match(table, { code: 0, stdout: /^SANDBOX +STATE +SESSION/ }, table.stderr);
    t.match(table.stdout, session);
  },
);

t.test('two administrators who end one sandbox at once: it ends once, and both are told the truth', async (t) => {
  const ada = await connect(engine.wsUrl, { token: 'token-of-ada' });
  t.teardown(() => ada.close());
  const { session } = await ada.ready;
  model.enqueue(tool('run_command', { command: 'echo kept > file' }), text('done'));
  ada.say('write');
  ada.approve((await ada.waitFor('tool:approval_required')).callId);
  await ada.turnEnd(1);
  const [container] = await stack.leasedTo(session);
  const path = `/v1/admin/sandboxes/${container!.id}/end`;
  const both = await Promise.all([ask('root', 'POST', path, {}), ask('root', 'POST', path, {})]);
  t.ok(
    both.some(({ status }) => status === 200),
    JSON.stringify(both),
  );
  for (const { status, body } of both) t.ok(status === 200 || typeof body['code'] === 'string', JSON.stringify(body));
  t.same(await stack.containers(session), []);
});
