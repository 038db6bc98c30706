/** Whatever ends a sandbox with changed files, its session is told: an event, and a sentence in the next tool result. */
import { rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { docker } from '../helpers/docker.js';
import { text, tool } from '../helpers/model-server.js';
import { startStack } from '../helpers/stack.js';
import { connect, type EventOf, type TestClient } from '../helpers/ws-client.js';

t.setTimeout(300_000); // whole processes, on a machine that may be busy

const stack = await startStack({
  config: { sandbox: { hibernateAfterMs: 0, pool: { min: 1, max: 1 } }, approvals: { default: 'allow' } },
});
t.teardown(() => stack.stop());
const { engine, model } = stack;

async function open(t: Test, session?: string): Promise<{ client: TestClient; session: string }> {
  const client = await connect(engine.wsUrl, session === undefined ? {} : { session, after: 0 });
  t.teardown(() => client.close());
  return { client, session: (await client.ready).session };
}

interface Called {
  result: EventOf<'tool:result'>;
  said: string;
  /** The same for the model. */
  told: string;
}

async function call(client: TestClient, name: string, args: object): Promise<Called> {
  model.enqueue(tool(name, args), text('done'));
  await client.ask(name);
  const result = client.events.findLast((event) => event.type === 'tool:result');
  if (!result) throw new Error(`${name} has no result`);
  const message = model.requests.at(-1)?.body.messages.at(-1);
  return { result, said: JSON.stringify(result.content), told: JSON.stringify(message?.content) };
}

const write = (client: TestClient, content: string): Promise<Called> =>
  call(client, 'write_file', { path: 'notes.txt', content });
const read = (client: TestClient): Promise<Called> => call(client, 'read_file', { path: 'notes.txt' });

/** The server's process in the container, as this machine numbers it. */
async function serverOf(container: string): Promise<number> {
  const { Processes } = (await docker().getContainer(container).top()) as { Processes: string[][] };
  const line = Processes.find((each) => each.at(-1)?.includes('node'));
  return Number(line?.[1]);
}

const deaths: Record<string, { kill: (id: string) => Promise<unknown>; reason: RegExp }> = {
  'kill -9 of its server': {
    kill: async (id) => process.kill(await serverOf(id), 'SIGKILL'),
    reason: /exited with code 137/,
  },
  'docker kill': { kill: (id) => docker().getContainer(id).kill(), reason: /exited with code 137/ },
  'docker restart': { kill: (id) => docker().getContainer(id).restart({ t: 0 }), reason: /restarted|exited/ },
  'docker rm -f': { kill: (id) => docker().getContainer(id).remove({ force: true }), reason: /removed|exited/ },
};

for (const [name, { kill, reason }] of Object.entries(deaths)) {
  t.test(`${name}: the session is told at once, and the model with the next result of that server, once`, async (t) => {
    const { client, session } = await open(t);
    await write(client, 'unsaved');
    const [box] = await stack.leasedTo(session);
    await kill(box?.id ?? '');
    const event = await client.waitFor('sandbox:lost');
    t.match(event, { server: 'workspace', reason });
    t.notOk('since' in event, 'nothing was saved');
    const next = await read(client);
    t.match(next.said, /The sandbox of workspace was replaced \(.*\)\. Its files are lost\./);
    t.match(next.told, /Its files are lost/);
    t.notMatch((await write(client, 'again')).said, /lost/);
    t.notMatch((await read(client)).said, /lost/);
    t.equal(client.events.filter(({ type }) => type === 'sandbox:lost').length, 1);
  });
}

t.test('a session that nobody is attached to finds the event in its log', async (t) => {
  const { client, session } = await open(t);
  await write(client, 'unsaved');
  const [box] = await stack.leasedTo(session);
  await client.terminate();
  await docker()
    .getContainer(box?.id ?? '')
    .kill();
  await engine.waitForLog((line) => line.msg === 'files of a session are lost' && line['session'] === session);
  const again = await open(t, session);
  t.match(await again.client.waitFor('sandbox:lost', { from: 0 }), { server: 'workspace' });
  t.match((await read(again.client)).said, /Its files are lost/);
});

t.test('a container that went while Fairlead was dead is told of by the next start, without a call', async (t) => {
  const { client, session } = await open(t);
  await write(client, 'unsaved');
  const [box] = await stack.leasedTo(session);
  engine.signal('SIGKILL');
  await engine.exited;
  await docker()
    .getContainer(box?.id ?? '')
    .remove({ force: true });
  await engine.start();
  const again = await open(t, session);
  t.match(await again.client.waitFor('sandbox:lost', { from: 0 }), { reason: 'its container was gone' });
  t.match((await read(again.client)).said, /Its files are lost/);
  await engine.restart({ signal: 'SIGKILL' });
  const third = await open(t, session);
  t.notMatch((await write(third.client, 'more')).said, /lost/);
  t.equal(third.client.events.filter(({ type }) => type === 'sandbox:lost').length, 1, 'once, whoever died');
});

t.test('what was restarted while Fairlead was dead is empty, and not taken for the session’s', async (t) => {
  const { client, session } = await open(t);
  await write(client, 'unsaved');
  const [box] = await stack.leasedTo(session);
  engine.signal('SIGKILL');
  await engine.exited;
  await docker()
    .getContainer(box?.id ?? '')
    .restart({ t: 0 });
  await engine.start();
  const again = await open(t, session);
  t.match(await again.client.waitFor('sandbox:lost', { from: 0 }), { reason: /restarted/ });
  t.match((await read(again.client)).said, /Its files are lost/);
});

t.test('a save that is missing at its restore is told, and so is one that is damaged', async (t) => {
  for (const [spoil, reason] of [
    [(path: string) => rm(path), /saved files are missing/],
    [(path: string) => truncate(path, 100), /cannot be read/],
  ] as const) {
    const { client, session } = await open(t);
    await write(client, 'saved');
    await engine.restart();
    await spoil(join(engine.dataDir, 'workspaces', `${session}~workspace.tar.lz4`));
    const again = (await open(t, session)).client;
    await read(again);
    t.match(await again.waitFor('sandbox:lost', { from: 0 }), { reason });
    await read(again);
    const told = again.events.filter(
      (event) => event.type === 'tool:result' && /was replaced/.test(JSON.stringify(event)),
    );
    t.equal(told.length, 1);
  }
});

t.test('what a save must leave out is named, and the rest is back', async (t) => {
  const { client, session } = await open(t);
  await write(client, 'saved');
  const script = "fs.writeFileSync('/workspace/core', ''); fs.truncateSync('/workspace/core', 2 ** 35)"; // all of it a hole
  await call(client, 'run_command', { command: `node -e "${script}"` });
  await engine.restart();
  const again = (await open(t, session)).client;
  const { missing = [] } = await again.waitFor('sandbox:lost', { from: 0 });
  t.match(missing, [/core/]);
  t.match((await read(again)).said, /Not saved: .*core.*saved/);
});

t.test('after a save the event says since when; what was only read since then is no loss', async (t) => {
  const { client, session } = await open(t);
  await write(client, 'saved');
  const before = Date.now();
  await engine.restart();
  const again = (await open(t, session)).client;
  t.match((await read(again)).said, /saved/);
  const [box] = await stack.leasedTo(session);
  await docker()
    .getContainer(box?.id ?? '')
    .kill();
  await engine.waitForLog((line) => line.msg === 'sandbox ended');
  const third = await read(again);
  t.match(third.said, /saved/);
  t.notMatch(third.said, /lost/);
  await call(again, 'write_file', { path: 'more.txt', content: 'unsaved' });
  const last = (await stack.leasedTo(session)).at(-1);
  await docker()
    .getContainer(last?.id ?? '')
    .kill();
  const { since = 0 } = await again.waitFor('sandbox:lost');
  t.ok(since >= before && since <= Date.now(), `${since}`);
  t.match((await read(again)).said, /Files changed after \d{4}-.* are lost, the others are back.*saved/);
  t.equal(again.events.filter(({ type }) => type === 'sandbox:lost').length, 1);
});
