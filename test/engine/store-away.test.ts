import t from 'tap';
import { deferred } from '../helpers/processes.js';
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
    redis.resume();
    const end = await client.turnEnd();
    t.ok(['interrupted', 'end_turn'].includes(end.stopReason), end.stopReason);
    await engine.waitForLog((line) => line.msg === 'the store answers again');
    await engine.waitForReadiness(200);
    model.enqueue(text('back'));
    t.match(await client.ask('and now?'), { stopReason: 'end_turn' });
    t.same(client.gaps(), []);
    t.same(model.violations, []);
  },
);

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
