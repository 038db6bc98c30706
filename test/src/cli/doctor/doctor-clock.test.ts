import t from 'tap';
import { checkClock, judge } from '../../../../src/cli/doctor/doctor-clock.js';
import { parseConfig } from '../../../../src/shared/config.js';
import { startRedis } from '../../../helpers/redis.js';

t.test('a clock that is not Redis’s is a warning, and far from it a cross', (t) => {
  t.match(judge('Redis', 1_500), { status: 'ok' });
  t.match(judge('Redis', 5_000), { status: 'warning', detail: /5 s apart/, hint: /chrony/ });
  t.match(judge('Redis', 300_000), { status: 'failed', detail: /300 s apart/ });
  t.end();
});

t.test('the clock of a Redis on this machine is this one', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const config = parseConfig({ sandbox: { driver: 'process' } }, { REDIS_URL: redis.url });
  const findings = await checkClock(config);
  t.notOk(findings.some(({ status }) => status === 'failed'));
  t.notMatch(findings, [{ detail: /Redis.*apart/ }]);
});
