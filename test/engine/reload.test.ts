/** The configuration file is read again while people work: what is live counts at once, and nobody notices but who was meant. */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import t from 'tap';
import { text, tool } from '../helpers/model-server.js';
import { deferred } from '../helpers/processes.js';
import { startStack } from '../helpers/stack.js';
import { connect } from '../helpers/ws-client.js';
import { runCli } from '../src/cli/spawn-cli.js';

t.setTimeout(300_000); // whole processes, on a machine that may be busy

const sha256 = (value: string): string => createHash('sha256').update(value).digest('hex');
const tokens = [
  { user: 'ada', sha256: sha256('token-of-ada'), role: 'admin' },
  { user: 'bob', sha256: sha256('token-of-bob') },
];
const stack = await startStack({
  config: { auth: { tokens }, agents: { threads: 2 }, model: { system: 'first' } },
});
t.teardown(() => stack.stop());
const { engine, model } = stack;
const original = await readFile(engine.configPath, 'utf8');

/** Writes the file with these sections in place of its own. */
async function write(sections: Record<string, unknown>): Promise<void> {
  const config = { ...(JSON.parse(original) as object), ...sections };
  await writeFile(engine.configPath, JSON.stringify(config));
}

async function reload(token = 'token-of-ada'): Promise<{ status: number; json: Record<string, unknown> }> {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`${engine.url}/v1/admin/reload`, { method: 'POST', headers });
  return { status: response.status, json: (await response.json()) as Record<string, unknown> };
}

const bySignal = () => runCli(t, ['reload', '--pid', String(engine.pid)], { env: { FAIRLEAD_DATA: engine.dataDir } });

t.afterEach(async () => {
  await writeFile(engine.configPath, original);
  await reload();
});

t.test('only an admin may reload', async (t) => {
  t.match(await reload('token-of-bob'), { status: 403, json: { code: 'ERR_FORBIDDEN' } });
});

t.test('a running turn goes on, its next request and new sessions have what counts now', async (t) => {
  const bob = await connect(engine.wsUrl, { token: 'token-of-bob' });
  t.teardown(() => bob.close());
  await bob.ready;
  const gate = deferred<void>();
  model.script(() => ({ blocks: [{ text: 'a ' }, { gate: gate.promise, text: 'b' }] }));
  bob.say('slow');
  await bob.waitFor('text:delta');
  await write({ model: { system: 'second', name: 'other-model' }, listen: { port: 1234 }, logLevel: 'debug' });
  t.match(await reload(), {
    status: 200,
    json: { changed: { model: ['name', 'system'] }, restart: ['listen.port'], warnings: [] },
  });
  gate.resolve();
  t.match(await bob.turnEnd(1), { stopReason: 'end_turn' });
  model.script(() => text('fine'));
  await bob.ask('next');
  t.match(JSON.stringify(model.requests.at(-1)!.body.system), /second/);
  const fresh = await connect(engine.wsUrl, { token: 'token-of-bob' });
  t.teardown(() => fresh.close());
  t.match(await fresh.ready, { model: 'other-model' });
});

t.test(
  'a tool call that runs ends; one that was allowed by rules of before does not run against those of now',
  async (t) => {
    const bob = await connect(engine.wsUrl, { token: 'token-of-bob' });
    t.teardown(() => bob.close());
    await bob.ready;
    model.enqueue(tool('run_command', { command: 'sleep 2; echo end-of-it' }), text('done'));
    bob.say('run');
    const first = await bob.waitFor('tool:approval_required');
    bob.approve(first.callId);
    await bob.waitFor('tool:start');
    await write({ approvals: { rules: [{ tool: 'run_command', action: 'deny' }] } });
    t.match(await reload(), { status: 200, json: { changed: { approvals: ['rules'] } } });
    t.match(await bob.waitFor('tool:result'), { ok: true });
    await bob.turnEnd(1);

    await writeFile(engine.configPath, original);
    await reload();
    model.enqueue(tool('run_command', { command: 'echo never' }), text('no'));
    bob.say('run again');
    const second = await bob.waitFor(
      (event) => event.type === 'tool:approval_required' && event.callId !== first.callId,
    );
    await write({ approvals: { rules: [{ tool: 'run_command', action: 'deny' }] } });
    await reload();
    if (second.type !== 'tool:approval_required') throw new Error('unreachable');
    bob.approve(second.callId);
    const result = await bob.waitFor((event) => event.type === 'tool:result' && event.callId === second.callId);
    t.match(JSON.stringify(result), /denied by the approval rules/);
    await bob.turnEnd(2);
  },
);

t.test('a token that is gone closes its sockets with 4401 and nobody else’s; one that is new lets in', async (t) => {
  const [ada, bob] = await Promise.all(
    ['token-of-ada', 'token-of-bob'].map((token) => connect(engine.wsUrl, { token })),
  );
  t.teardown(() => ada!.close());
  await Promise.all([ada!.ready, bob!.ready]);
  const cy = { user: 'cy', sha256: sha256('token-of-cy') };
  await write({ auth: { tokens: [tokens[0], cy] } });
  t.match(await reload(), { status: 200, json: { changed: { auth: ['tokens'] } } });
  t.match(await bob!.closed, { code: 4401 });
  model.script(() => text('still here'));
  t.match(await ada!.ask('there?'), { stopReason: 'end_turn' });
  const late = await connect(engine.wsUrl, { token: 'token-of-cy' });
  t.teardown(() => late.close());
  t.ok(await late.ready);
  t.equal((await (await connect(engine.wsUrl, { token: 'token-of-bob' })).closed).code, 4401);
});

t.test('limits and origins count at once', async (t) => {
  const page = { authorization: 'Bearer token-of-bob', origin: 'https://app.example.org' };
  t.equal((await fetch(`${engine.url}/v1/sessions`, { headers: page })).status, 403);
  const { listen } = JSON.parse(original) as { listen: object };
  await write({
    listen: { ...listen, origins: ['https://app.example.org'] },
    quotas: { users: { bob: { maxSessions: 1 } } },
  });
  t.equal((await reload()).status, 200);
  t.equal((await fetch(`${engine.url}/v1/sessions`, { headers: page })).status, 200);
  const bob = await connect(engine.wsUrl, { token: 'token-of-bob' });
  t.match(await bob.closed, { reason: /sessions are this user’s limit/ });
});

t.test(
  'a server that is kept for a group, and a tool that is denied, are gone for the next turn of others',
  async (t) => {
    const bob = await connect(engine.wsUrl, { token: 'token-of-bob' });
    t.teardown(() => bob.close());
    await bob.ready;
    const offered = (): string => JSON.stringify(model.requests.at(-1)!.body.tools ?? []);
    model.script(() => text('fine'));
    await bob.ask('first');
    t.match(offered(), /run_command/);
    await write({ mcpServers: { workspace: { image: 'fairlead/workspace', tools: { deny: ['run_command'] } } } });
    t.match(await reload(), { status: 200, json: { changed: { mcpServers: ['workspace'] }, restart: [] } });
    await bob.ask('second');
    t.notMatch(offered(), /run_command/);
    t.match(offered(), /read_file/);
    await write({ mcpServers: { workspace: { image: 'fairlead/workspace', groups: ['staff'] } } });
    await reload();
    await bob.ask('third');
    t.notMatch(offered(), /read_file/);
  },
);

t.test('with an error nothing changes, and every problem is named', async (t) => {
  await write({ auth: { tokens: [tokens[0]] }, limits: { maxInFlight: 0 }, modle: {} });
  const { status, json } = await reload();
  t.equal(status, 422);
  t.match(json, { code: 'ERR_CONFIG', problems: [{ path: 'limits.maxInFlight' }, { path: 'modle' }] });
  const bob = await connect(engine.wsUrl, { token: 'token-of-bob' });
  t.teardown(() => bob.close());
  t.ok(await bob.ready, 'a token that the wrong file lacks still counts');
  await writeFile(engine.configPath, original.slice(0, 40));
  t.match(await reload(), { status: 422, json: { detail: /is not JSON/ } });
});

t.test('a signal reloads too, and `fairlead reload --pid` says what has become of it', async (t) => {
  await write({ limits: { maxInFlight: 4 }, listen: { port: 1234 } });
  const done = await bySignal();
  t.match(done, { code: 0, stdout: 'changed  limits: maxInFlight\nrestart  listen.port needs a restart\n' });
  await write({ limits: { maxInFlight: 'many' } });
  const failed = await bySignal();
  t.match(failed, { code: 1, stderr: /limits\.maxInFlight/ });
  engine.signal('SIGHUP');
  await engine.waitForLog(({ msg }) => msg.startsWith('the configuration was not read again'));
});
