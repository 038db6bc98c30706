import { createClient } from 'redis';
import t from 'tap';
import { deferred } from '../helpers/processes.js';
import { startRedis } from '../helpers/redis.js';
import { startStack } from '../helpers/stack.js';
import { text } from '../helpers/model-server.js';
import { connect, type TestClient } from '../helpers/ws-client.js';

t.test(
  'Redis hangs in the middle of a turn: an honest end, and service without a restart when it is back',
  async (t) => {
    const stack = await startStack({
      config: { store: { timeoutMs: 500 }, sandbox: { driver: 'process' } },
      env: { DOCKER_HOST: '' },
    });
    t.teardown(() => stack.stop());
    const { engine, model, redis } = stack;
    const client = await connect(engine.wsUrl);
    t.teardown(() => client.close());
    await client.ask('hello');
    const gate = deferred<void>();
    model.enqueue({ blocks: [{ text: 'one ' }, { gate: gate.promise, text: 'two' }] });
    client.say('go');
    await client.waitFor('text:delta');
    redis.pause();
    t.teardown(() => redis.resume());
    gate.resolve();
    t.match(await client.waitFor('error'), { code: 'ERR_UNAVAILABLE' });
    client.say('are you there?', 'lost');
    t.match(await client.waitFor('error'), { code: 'ERR_UNAVAILABLE', id: 'lost' });
    await engine.waitForLog((line) => line.msg === 'the store does not answer');
    await engine.waitForReadiness(503);
    await engine.waitForLog(({ level, msg }) => level === 50 && msg === 'an outage has begun: store');
    redis.resume();
    const end = await client.turnEnd();
    // What was written before the deadline, and not answered, counts.
    t.ok(end.stopReason === 'end_turn' || end.error?.code === 'ERR_UNAVAILABLE', JSON.stringify(end));
    await engine.waitForLog((line) => line.msg === 'the store answers again');
    const ended = await engine.waitForLog(({ msg }) => /^an outage has ended after [\d.]+ s: store$/.test(msg));
    t.match(ended, { part: 'store', began: String, ms: Number });
    await engine.waitForReadiness(200);
    model.enqueue(text('back'));
    t.match(await client.ask('and now?'), { stopReason: 'end_turn' });
    t.same(client.gaps(), []);
    t.same(model.violations, []);
  },
);

t.test('an agent thread that dies while Redis hangs leaves no reason behind when both are back', async (t) => {
  const stack = await startStack({
    config: { store: { timeoutMs: 2_000 }, sandbox: { driver: 'process' }, agents: { threads: 1, spare: false } },
    env: { DOCKER_HOST: '', NODE_OPTIONS: `--import=${new URL('threads/preload.js', import.meta.url).href}` },
  });
  t.teardown(() => stack.stop());
  const { engine, redis } = stack;
  redis.pause();
  t.teardown(() => redis.resume());
  await engine.waitForReadiness(503);
  engine.signal('SIGWINCH');
  await engine.waitForLog(({ msg }) => msg === 'agent thread ended; starting it again');
  redis.resume();
  await engine.waitForLog(({ msg }) => msg === 'agent thread serves again');
  await engine.waitForReadiness(200);
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  t.match(await client.ask('hello'), { stopReason: 'end_turn' });
});

t.test('Redis is killed and started again on the same port', async (t) => {
  const stack = await startStack({
    config: { store: { timeoutMs: 1_000 }, sandbox: { driver: 'process' } },
    env: { DOCKER_HOST: '' },
  });
  t.teardown(() => stack.stop());
  const client = await connect(stack.engine.wsUrl);
  await client.ask('hello');
  await stack.redis.kill();
  client.say('into the void', 'void');
  t.match(await client.waitFor('error'), { code: 'ERR_UNAVAILABLE', id: 'void' });
  await stack.redis.restart();
  await client.close();
  // It had no persistence: the old session is gone, a new one works as soon as the connection is back (1013 until then).
  const fresh = await attached(stack.engine.wsUrl);
  t.teardown(() => fresh.close());
  t.match(await fresh.ask('hello'), { stopReason: 'end_turn' });
});

/** As a client does: comes back until it is let in. */
async function attached(url: string): Promise<TestClient> {
  for (;;) {
    const client = await connect(url);
    const outcome = await Promise.race([client.ready.catch(() => undefined), client.closed]);
    if (outcome !== undefined && 'session' in outcome) return client;
    t.match(await client.closed, { code: 1013 });
  }
}

for (const [what, word, refuse, heal] of [
  ['is full', /OOM/, ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']],
  ['is read-only', /READONLY/, ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']],
] as const) {
  t.test(
    `Redis ${what}: /readyz says so, nothing is acknowledged, and a message sent again later is taken once`,
    async (t) => {
      const stack = await startStack({
        config: { store: { timeoutMs: 600 }, sandbox: { driver: 'process' } },
        env: { DOCKER_HOST: '' },
      });
      t.teardown(() => stack.stop());
      const client = await connect(stack.engine.wsUrl);
      t.teardown(() => client.close());
      await client.ask('hello');
      const redis = createClient({ url: stack.redis.url });
      await redis.connect();
      t.teardown(() => redis.close());
      await redis.sendCommand([...refuse]);
      client.say('keep this', 'kept');
      t.match(await client.waitFor('error'), { code: 'ERR_UNAVAILABLE', id: 'kept' });
      await stack.engine.waitForReadiness(503);
      const ready = (await (await fetch(`${stack.engine.url}/readyz`)).json()) as { reasons: string[] };
      t.match(ready.reasons, [word]);
      await redis.sendCommand([...heal]);
      await stack.engine.waitForReadiness(200);
      client.say('keep this', 'kept');
      const accepted = await client.waitFor((event) => event.type === 'message:accepted' && event.id === 'kept');
      t.match(accepted, { turn: 2 });
      t.match(await client.turnEnd(2), { stopReason: 'end_turn' });
      t.same(client.gaps(), []);
    },
  );
}

t.test(
  'a connection that is reset in the middle, and a Redis that starts again in time, are not noticed',
  async (t) => {
    const redis = await startRedis({ args: ['--appendonly', 'yes'] });
    t.teardown(() => redis.stop());
    const stack = await startStack({
      config: { store: { timeoutMs: 8_000 }, sandbox: { driver: 'process' } },
      env: { DOCKER_HOST: '', REDIS_URL: redis.url },
    });
    t.teardown(() => stack.stop());
    const admin = createClient({ url: redis.url });
    admin.on('error', () => undefined); // it is cut with the others
    await admin.connect();
    t.teardown(() => admin.destroy());
    const clients = await Promise.all(Array.from({ length: 5 }, () => connect(stack.engine.wsUrl)));
    t.teardown(() => Promise.all(clients.map((client) => client.close())));
    const talk = clients.map(async (client) => {
      for (let turn = 1; turn <= 20; turn++) t.match(await client.ask(`turn ${turn}`), { stopReason: 'end_turn' });
    });
    for (let cut = 0; cut < 5; cut++) {
      await clients[cut]?.turnEnd(cut + 1);
      await admin.sendCommand(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes']);
    }
    await redis.kill();
    await redis.restart();
    await Promise.all(talk);
    for (const client of clients) {
      t.same(client.gaps(), []);
      t.equal(client.lastSeq, 80);
      t.notOk(client.events.some(({ type }) => type === 'error'));
    }
  },
);
