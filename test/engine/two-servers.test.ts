import t from 'tap';
import { lastText, text, tool } from '../helpers/model-server.js';
import { deferred } from '../helpers/processes.js';
import { startTwoServers } from '../helpers/two-servers.js';
import { connect } from '../helpers/ws-client.js';

const { a, b, model } = await startTwoServers(t);

t.test('a second server that opens a session takes it over, in the middle of a turn', async (t) => {
  const old = await connect(a.wsUrl);
  const { session } = await old.ready;
  const gate = deferred<void>();
  model.enqueue({ blocks: [{ text: 'never ' }, { gate: gate.promise, text: 'told' }] }, text('told by the other'));
  old.say('go');
  await old.waitFor('text:delta');
  const now = await connect(b.wsUrl, { session, after: old.lastSeq, crashes: true });
  t.teardown(() => now.close());
  t.match(await now.turnEnd(1), { stopReason: 'end_turn' });
  gate.resolve();
  t.match(await old.closed, { code: 1001 }, 'the old one notices at its next write');
  t.match(await now.ask('and on'), { stopReason: 'end_turn' });
  const { transcript } = (await (await fetch(`${b.url}/v1/sessions/${session}/history`)).json()) as {
    transcript: unknown[];
  };
  t.match(JSON.stringify(transcript), 'told by the other');
  t.notMatch(JSON.stringify(transcript), 'never told');
  t.same([...old.gaps(), ...now.gaps()], []);
});

t.test('whoever still listens at a server that the session had left is closed, not left with a gap', async (t) => {
  const old = await connect(a.wsUrl);
  const { session } = await old.ready;
  await old.ask('one');
  const now = await connect(b.wsUrl, { session, after: old.lastSeq });
  await now.ask('two');
  const back = await connect(a.wsUrl, { session, after: now.lastSeq });
  t.teardown(() => back.close());
  t.match(await old.closed, { code: 1001 });
  await back.ask('three');
  t.same([...old.gaps(), ...now.gaps(), ...back.gaps()], []);
  t.equal(back.lastSeq, 12);
  // The second server learns of it when somebody comes to it.
  now.say('four');
  t.match(await now.closed, { code: 1001 });
});

t.test('what waits for a yes at one server can be answered at the other', async (t) => {
  const old = await connect(a.wsUrl);
  const { session } = await old.ready;
  // By what is asked, not in a line: a request of the server that has lost its session may come late.
  model.script(({ body }) =>
    lastText(body) === 'run it' ? tool('run_command', { command: 'echo yes' }) : text('done'),
  );
  old.say('run it');
  const { callId } = await old.waitFor('tool:approval_required');
  const now = await connect(b.wsUrl, { session, after: old.lastSeq });
  t.teardown(() => now.close());
  t.match((await now.ready).pending, [{ callId }]);
  now.approve(callId);
  t.match(await now.turnEnd(1), { stopReason: 'end_turn' });
  await old.close();
});

t.test('looking at a session takes it from nobody', async (t) => {
  const client = await connect(a.wsUrl);
  t.teardown(() => client.close());
  const { session } = await client.ready;
  await client.ask('one');
  t.match(await (await fetch(`${b.url}/v1/sessions/${session}`)).json(), { session, running: false });
  t.equal((await fetch(`${b.url}/v1/sessions/${session}/history`)).status, 200);
  await client.ask('two');
  t.same(client.gaps(), []);
});
