import t, { type Test } from 'tap';
import { chooseParts } from '../../../src/boot/parts.js';
import { StartWaits } from '../../../src/boot/start-waits.js';
import { parseConfig } from '../../../src/shared/config.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { createLog } from '../../../src/shared/log.js';
import { startRedis } from '../../helpers/redis.js';

const { signal } = new AbortController();
const refused = new FairleadError('ERR_START', 'Redis at … does not answer');

async function listen(): Promise<void> {}

function waitsOf(redisUrl = ''): { waits: StartWaits; said: (string | undefined)[]; warned: string[] } {
  const config = parseConfig({ sandbox: { driver: 'process' } }, { REDIS_URL: redisUrl });
  const said: (string | undefined)[] = [];
  const readiness = { waitsFor: (_part: string, reason: string | undefined): void => void said.push(reason) };
  const log = createLog('test', 'silent');
  const warned: string[] = [];
  log.warn = (...line: unknown[]): void => void warned.push(line.join(' '));
  const waits = new StartWaits({ config, parts: chooseParts(config), log, readiness, signal, listen });
  return { waits, said, warned };
}

/** A start that fails so often. */
function failing(times: number, error: Error = refused): { start: () => Promise<string>; tried: () => number } {
  let tried = 0;
  const start = async (): Promise<string> => {
    if (++tried <= times) throw error;
    return 'started';
  };
  return { start, tried: () => tried };
}

async function redisUrl(t: Test, ...args: string[]): Promise<string> {
  const redis = await startRedis({ args });
  t.teardown(() => redis.stop());
  return redis.url;
}

t.test('a Redis that went between the question and the start of the threads is asked again', async (t) => {
  const { waits, said } = waitsOf(await redisUrl(t));
  t.match(await waits.all(), { store: { kind: 'redis' }, sandbox: { driver: 'process' } });
  const { start, tried } = failing(2);
  t.equal(await waits.withStore(start), 'started');
  t.equal(tried(), 3);
  t.same(said, []);
});

t.test('a start that fails although the store answers ends, and one for another reason at once', async (t) => {
  const { waits } = waitsOf(await redisUrl(t));
  const always = failing(Infinity);
  await t.rejects(waits.withStore(always.start), refused);
  t.equal(always.tried(), 3);
  const other = failing(Infinity, new TypeError('a fault'));
  await t.rejects(waits.withStore(other.start), { message: 'a fault' });
  t.equal(other.tried(), 1);
});

t.test('the embedded store is not waited for', async (t) => {
  const { start, tried } = failing(Infinity);
  await t.rejects(waitsOf().waits.withStore(start), refused);
  t.equal(tried(), 1);
});

t.test('sessions with open turns are looked up until the store answers', async (t) => {
  const { start, tried } = failing(2, new FairleadError('ERR_UNAVAILABLE', 'away'));
  t.equal(await waitsOf().waits.untilAvailable(start), 'started');
  t.equal(tried(), 3);
  await t.rejects(waitsOf().waits.untilAvailable(failing(1).start), refused);
});

t.test('a Redis that drops keys when it is full is used, and the log warns of it once', async (t) => {
  const { waits, warned } = waitsOf(await redisUrl(t, '--maxmemory-policy', 'allkeys-lru'));
  await waits.all();
  t.equal(await waits.withStore(failing(0).start), 'started');
  t.match(warned, [/maxmemory-policy is allkeys-lru/]);
  t.equal(warned.length, 1);
  const safe = waitsOf(await redisUrl(t));
  await safe.waits.all();
  t.same(safe.warned, []);
});
