/** A server that an administrator drains: nothing new, what runs ends, and all of it again after the drain. Real Redis, two servers. */
import t from 'tap';
import { lastText, text, tool } from '../helpers/model-server.js';
import { deferred, within } from '../helpers/processes.js';
import { startTwoServers } from '../helpers/two-servers.js';
import { connect, type TestClient } from '../helpers/ws-client.js';
import { runCli } from '../src/cli/spawn-cli.js';

const SOON_MS = 30_000;
const { a, b, model } = await startTwoServers(t);

const closed = (client: TestClient): Promise<{ code: number; reason: string }> =>
  within(client.closed, SOON_MS, () => 'the socket is still open');

async function drain(method: string): Promise<Record<string, unknown>> {
  const answer = await fetch(`${a.url}/v1/admin/drain`, { method });
  if (answer.status !== 200) throw new Error(`${answer.status} ${await answer.text()}`);
  return (await answer.json()) as Record<string, unknown>;
}

t.test(
  'a drained server lets turns end, tells its clients to go, and takes nothing new until the drain ends',
  async (t) => {
    const gate = deferred<void>();
    model.enqueue({ blocks: [{ text: 'first ' }, { gate: gate.promise, text: 'and last' }] });
    const [busy, idle] = [await connect(a.wsUrl), await connect(a.wsUrl)];
    const { session } = await busy.ready;
    const { session: other } = await idle.ready;
    busy.say('work');
    await busy.waitFor('text:delta');
    busy.say('in line');
    await busy.waitFor((event) => event.type === 'message:accepted' && event.queued === 1);
    t.match(await drain('POST'), { draining: true, turns: 1, since: Number });
    t.match(await drain('POST'), { draining: true, turns: 1 }, 'twice is once');
    t.match(await closed(idle), { code: 1001, reason: /drains/ });
    t.match(await (await fetch(`${a.url}/readyz`)).json(), { ready: false, reasons: ['draining'] });
    t.match(await closed(await connect(a.wsUrl)), { code: 1001 });
    for (const [path, body] of [
      ['/v1/sessions', '{}'],
      [`/v1/sessions/${other}/messages`, '{"text":"x"}'],
    ] as const) {
      const refused = await fetch(a.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
      t.match(await refused.json(), { status: 503, code: 'ERR_DRAINING' }, path);
    }
    busy.say('too late', 'late');
    t.match(await busy.waitFor('error'), { code: 'ERR_DRAINING', id: 'late' });
    const waiting = runCli(t, ['admin', 'drain', '--wait', '--json', '--url', a.url]);
    gate.resolve();
    t.match(await busy.turnEnd(1), { stopReason: 'end_turn' });
    t.match(await closed(busy), { code: 1001 });
    const waited = await waiting;
    t.match(waited, { code: 0 }, waited.stderr);
    t.match(JSON.parse(waited.stdout), { draining: true, turns: 0 });
    model.enqueue(text('from the line'));
    t.match(await drain('DELETE'), { draining: false });
    const back = await connect(a.wsUrl, { session, after: busy.lastSeq });
    t.match(await back.turnEnd(2), { stopReason: 'end_turn' });
    model.enqueue(text('again'));
    t.match(await back.ask('new'), { stopReason: 'end_turn' });
    t.same(back.gaps(), []);
    t.equal((await fetch(`${a.url}/readyz`)).status, 200);
    await back.close();
  },
);

t.test('what a drained server leaves in line or waiting goes on at another one', async (t) => {
  const client = await connect(a.wsUrl);
  const { session } = await client.ready;
  model.script(({ body }) =>
    lastText(body) === 'run it' ? tool('run_command', { command: 'echo yes' }) : text('done'),
  );
  client.say('run it');
  const { callId } = await client.waitFor('tool:approval_required');
  t.match(await drain('POST'), { draining: true, turns: 0 });
  t.match(await closed(client), { code: 1001 });
  const there = await connect(b.wsUrl, { session, after: client.lastSeq });
  t.match((await there.ready).pending, [{ callId }]);
  there.approve(callId);
  t.match(await there.turnEnd(1), { stopReason: 'end_turn' });
  await there.close();
  const undrained = await runCli(t, ['admin', 'undrain', '--url', a.url]);
  t.match(undrained, { code: 0, stdout: /takes work again/ }, undrained.stderr);
});

t.test('a wait that is too long fails, and the server goes on draining; a stop ends it all', async (t) => {
  const gate = deferred<void>();
  t.teardown(() => gate.resolve());
  model.script(() => ({ blocks: [{ text: 'never ' }, { gate: gate.promise, text: 'told' }] }));
  const client = await connect(a.wsUrl);
  await client.ready;
  client.say('work');
  await client.waitFor('text:delta');
  const late = await runCli(t, ['admin', 'drain', '--wait', '--timeout', '1s', '--url', a.url]);
  t.match(late, { code: 1, stderr: /1 turns run after 1s; the server goes on draining/ });
  t.match(await drain('GET'), { draining: true, turns: 1 });
  gate.resolve();
  t.match(await client.turnEnd(1), { stopReason: 'end_turn' });
  t.match(await a.stop(), { code: 0 });
});
