/** Two servers on one Redis: what one person has and does at both is one number. */
import t from 'tap';
import { startEngine, type Engine } from '../helpers/engine.js';
import { startModelServer, text } from '../helpers/model-server.js';
import { deferred } from '../helpers/processes.js';
import { startRedis } from '../helpers/redis.js';
import { connect, type TestClient } from '../helpers/ws-client.js';

const redis = await startRedis();
t.teardown(() => redis.stop());
const model = await startModelServer();
t.teardown(() => model.close());

async function twoServers(quotas: object): Promise<[Engine, Engine]> {
  const start = async (): Promise<Engine> => {
    const engine = await startEngine({
      config: { sandbox: { driver: 'process' }, agents: { threads: 2, spare: false }, quotas },
      env: { REDIS_URL: redis.url, DOCKER_HOST: '', ANTHROPIC_API_KEY: 'sk-x', ANTHROPIC_BASE_URL: model.url },
    });
    t.teardown(() => engine.stop());
    return engine;
  };
  return Promise.all([start(), start()]);
}

/** `accepted`, or the error's limit. */
async function say(client: TestClient): Promise<unknown> {
  const id = client.say('go');
  const event = await client.waitFor((each) => {
    return (each.type === 'message:accepted' || each.type === 'error') && 'id' in each && each.id === id;
  });
  return event.type === 'error' ? (event as unknown as { limit?: string }).limit : 'accepted';
}

t.test('of twelve turns at once on two servers as many run as the person’s limit says', async (t) => {
  const servers = await twoServers({ default: { maxTurns: 4, maxSockets: 0 } });
  const gate = deferred<void>();
  model.script(() => ({ blocks: [{ text: 'slow ' }, { gate: gate.promise, text: 'and done' }] }));
  const clients = await Promise.all(Array.from({ length: 12 }, (_, index) => connect(servers[index % 2]!.wsUrl)));
  t.teardown(() => Promise.all(clients.map((client) => client.close())));
  const said = await Promise.all(clients.map(say));
  t.equal(said.filter((each) => each === 'accepted').length, 4);
  t.equal(said.filter((each) => each === 'maxTurns').length, 8);
  gate.resolve();
  await Promise.all(clients.filter((_, index) => said[index] === 'accepted').map((client) => client.turnEnd(1)));
  model.script(() => text('again'));
  t.equal(await say(clients[said.indexOf('maxTurns')]!), 'accepted', 'their ends made room');
  for (const engine of servers) await engine.stop();
});

t.test('sessions and connections of a person at two servers have one limit', async (t) => {
  const [a, b] = await twoServers({ default: { maxTurns: 0, maxSockets: 3, maxSessions: 20 } });
  const first = await connect(a.wsUrl);
  const { session } = await first.ready;
  const second = await connect(b.wsUrl, { session });
  const third = await connect(b.wsUrl, { session });
  await Promise.all([second.ready, third.ready]);
  const refused = await connect(a.wsUrl, { session });
  const { code, reason } = await refused.closed;
  t.equal(code, 1013);
  t.match(reason, /^3 connections are this user’s limit/);
  await second.close();
  const isOpen = async (): Promise<boolean> => {
    const client = await connect(a.wsUrl, { session });
    const end = client.closed.then(() => false);
    const answered = client.waitFor('pong').then(
      () => true,
      () => false,
    );
    await client.ready.catch(() => undefined);
    client.send({ type: 'ping' });
    const open = await Promise.race([end, answered]);
    await client.close();
    return open;
  };
  while (!(await isOpen()));
  t.pass('one that has closed makes room at the other server');

  const codes: number[] = [];
  for (let count = 0; count < 25; count++) {
    const { url } = count % 2 === 0 ? a : b;
    const answer = await fetch(`${url}/v1/sessions`, {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    });
    codes.push(answer.status);
    if (answer.status !== 429) continue;
    t.ok(answer.headers.has('retry-after'));
    t.match(await answer.json(), { code: 'ERR_QUOTA', limit: 'maxSessions', max: 20, used: 20 });
    break;
  }
  t.equal(codes.at(-1), 429);
  for (const engine of [a, b]) await engine.stop();
});
