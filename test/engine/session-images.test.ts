/** Images that sessions choose: made, listed, leased with limits of their own, and taken away by a reload. */
import { readFile, writeFile } from 'node:fs/promises';
import t from 'tap';
import { docker } from '../helpers/docker.js';
import { fetchMetrics } from '../helpers/metrics.js';
import { text, tool } from '../helpers/model-server.js';
import { startStack } from '../helpers/stack.js';
import { connect, type TestClient } from '../helpers/ws-client.js';

t.setTimeout(600_000); // whole processes and containers, on a machine that may be busy

const WAIT = { timeoutMs: 120_000 };
const NARROW = {
  image: 'fairlead/workspace',
  description: 'a narrow one',
  pids: 64,
  workspaceMb: 32,
  pool: { min: 0, max: 1 },
};

const stack = await startStack({
  config: {
    agents: { threads: 1 },
    approvals: { default: 'allow' },
    sandbox: { pool: { min: 0, max: 1 } },
    images: { narrow: NARROW, kept: { image: 'fairlead/workspace', groups: ['others'], pool: { min: 0 } } },
  },
});
t.teardown(() => stack.stop());
const { engine, model } = stack;

async function ask(method: string, path: string, body?: object): Promise<{ status: number; body: unknown }> {
  const headers = body ? { 'content-type': 'application/json' } : {};
  const answer = await fetch(engine.url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
  return { status: answer.status, body: await answer.json() };
}

async function run(client: TestClient, command: string): Promise<string> {
  model.enqueue(tool('run_command', { command }), text('so'));
  client.say('go');
  const result = await client.waitFor('tool:result', WAIT);
  await client.turnEnd(undefined, WAIT);
  return JSON.stringify(result.content);
}

t.test(
  'a session has the sandbox of the image that it has chosen, with its limits; another one has its server’s',
  async (t) => {
    t.same((await ask('GET', '/v1/images')).body, {
      images: [{ name: 'narrow', description: 'a narrow one', default: false }],
    });
    for (const image of ['kept', 'nothing']) {
      t.match(await ask('POST', '/v1/sessions', { image }), {
        status: 400,
        body: { code: 'ERR_BAD_FRAME', detail: /^image: .* there are narrow$/ },
      });
    }
    const made = await ask('POST', '/v1/sessions', { image: 'narrow' });
    t.match(made, { status: 201, body: { image: 'narrow' } });
    const { session } = made.body as { session: string };
    const plain = await connect(engine.wsUrl);
    t.teardown(() => plain.close());
    const { session: other } = await plain.ready;
    const limits = new Map<string, object>();
    for (const [id, client] of [
      [session, await connect(engine.wsUrl, { session })] as const,
      [other, plain] as const,
    ]) {
      await client.ready;
      t.match(await run(client, 'df -m /workspace | tail -1; echo kept > file'), id === session ? / 32 / : / 512 /);
      const [container] = await stack.leasedTo(id);
      const { HostConfig } = await docker().getContainer(container!.id).inspect();
      limits.set(id, { pids: HostConfig.PidsLimit, memory: HostConfig.Memory });
      await client.close();
    }
    t.match(limits.get(session), { pids: 64 });
    t.match(limits.get(other), { pids: 256 });
    const told = model.requests.map(({ body }) => JSON.stringify(body.system));
    t.match(told[0], /sandbox is narrow: a narrow one/);
    t.notMatch(told.at(-1), /narrow/);
    t.match((await ask('GET', `/v1/sessions/${session}`)).body, { image: 'narrow' });
    t.match((await ask('GET', '/v1/admin/sandboxes')).body, {
      sandboxes: [{ image: 'fairlead/workspace' }, { image: 'fairlead/workspace' }],
    });
    const figures = (await fetchMetrics(engine.url)).split('\n');
    const leased = figures.filter(
      (line) => /^fairlead_sandboxes\{.*"workspace\/narrow"/.test(line) && line.includes('leased'),
    );
    t.match(leased, [/ 1$/]);
  },
);

t.test('a session whose image a reload has taken away is told what to do, and goes on when it is back', async (t) => {
  const client = await connect(engine.wsUrl, { image: 'narrow' });
  t.teardown(() => client.close());
  await client.ready;
  await run(client, 'echo kept > file');
  const file = JSON.parse(await readFile(engine.configPath, 'utf8')) as object;
  const reload = async (images: object): Promise<unknown> => {
    await writeFile(engine.configPath, JSON.stringify({ ...file, images }));
    return (await ask('POST', '/v1/admin/reload')).body;
  };
  t.match(await reload({}), { changed: { images: ['narrow removed', 'kept removed'] }, restart: [] });
  t.match(
    await run(client, 'cat file'),
    /has chosen the image narrow, which the configuration .* no longer has.*files are kept/,
  );
  t.match(await reload({ narrow: { ...NARROW, pids: 65 } }), { changed: { images: ['narrow added'] }, restart: [] });
  t.match(await run(client, 'cat file'), /kept/);
});
