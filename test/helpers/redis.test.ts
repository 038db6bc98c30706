import { createClient } from 'redis';
import t from 'tap';
import { startRedis, type TestRedis } from './redis.js';

async function once(redis: TestRedis, command: string[]): Promise<unknown> {
  const client = createClient({ url: redis.url, socket: { reconnectStrategy: false, connectTimeout: 2000 } });
  client.on('error', () => undefined); // told by the rejected command as well
  await client.connect();
  try {
    return await client.sendCommand(command);
  } finally {
    client.destroy();
  }
}

t.test('it answers, is gone after a kill, and comes back empty on the same port', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  t.equal(await once(redis, ['SET', 'key', 'value']), 'OK');
  await redis.kill();
  await t.rejects(once(redis, ['PING']));
  await redis.restart();
  t.equal(await once(redis, ['GET', 'key']), null);
});

t.test('with an append-only file its data outlive a restart', async (t) => {
  const redis = await startRedis({ args: ['--appendonly', 'yes'] });
  t.teardown(() => redis.stop());
  await once(redis, ['SET', 'key', 'value']);
  const { pid } = redis;
  await redis.restart();
  t.not(redis.pid, pid);
  t.equal(await once(redis, ['GET', 'key']), 'value');
});

t.test('paused it answers nothing, resumed it answers what was asked meanwhile', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const client = createClient({ url: redis.url });
  t.teardown(() => client.destroy());
  await client.connect();
  redis.pause();
  let answered = false;
  const answer = client.ping().then((pong) => {
    answered = true;
    return pong;
  });
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(answered, false);
  redis.resume();
  t.equal(await answer, 'PONG');
});
