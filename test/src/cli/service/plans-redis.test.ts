import t from 'tap';
import type { Facts } from '../../../../src/cli/service/facts.js';
import { planInstall } from '../../../../src/cli/service/plan-install.js';
import { keptByUninstall } from '../../../../src/cli/service/plan-uninstall.js';
import { shellText } from '../../../../src/cli/service/step.js';
import { machine } from './host.js';
import { installation, installed, layout, lines, undone, uninstall } from './plan-kit.js';

const REDIS_NOW = { appendonly: 'no', appendfsync: 'everysec', 'maxmemory-policy': 'volatile-lru' };
const REDIS_OURS = { appendonly: 'yes', appendfsync: 'everysec', 'maxmemory-policy': 'noeviction' };
const withRedis = machine({ redis: REDIS_NOW }, { redisConfig: 'port 6379\n' });
const redisSets = (commands: readonly string[]): string[] =>
  commands.filter((line) => line.includes('redis-cli config set')).map((line) => line.split('exit 1; } ')[1] ?? line);

t.test('an installation that fails sets the running Redis as it was', async (t) => {
  const { steps } = planInstall(withRedis, layout, installation({ redis: true }));
  t.same(redisSets(lines(steps)), ['appendonly yes', 'maxmemory-policy noeviction'], 'only what differs');
  t.same(redisSets(undone(steps)), ['maxmemory-policy volatile-lru', 'appendonly no']);
  const stopped = planInstall({ ...withRedis, redis: 'stopped' }, layout, installation({ redis: true })).steps;
  t.ok(undone(stopped).includes('systemctl stop redis-server.service'), 'one that was started is stopped');
});

t.test('uninstall sets the running Redis as it was before the first installation', async (t) => {
  const { steps } = planInstall(withRedis, layout, installation({ redis: true }));
  const include = steps.find(({ argv }) => argv.at(-1) === `${layout.redisInclude}.new`)?.input ?? '';
  t.match(include, /^# before: maxmemory-policy volatile-lru$/m);
  const texts = {
    ...installed.texts,
    redisInclude: include,
    redisConfig: `port 6379\ninclude ${layout.redisInclude}\n`,
  };
  const again = planInstall(machine({ ...installed, redis: REDIS_OURS }, texts), layout, installation({ redis: true }));
  t.notMatch(lines(again.steps).join('\n'), layout.redisInclude, 'a second one keeps what the first has noted');
  const after = (redis: Facts['redis']): string[] =>
    redisSets(lines(uninstall(machine({ ...installed, redis }, texts), false)));
  t.same(after(REDIS_OURS), ['appendonly no', 'maxmemory-policy volatile-lru']);
  t.same(after({ ...REDIS_OURS, appendonly: 'no' }), ['maxmemory-policy volatile-lru'], 'what was changed since stays');
  t.same(after('stopped'), []);
  const older = machine({ ...installed, redis: REDIS_OURS }, { ...texts, redisInclude: 'appendonly yes\n' });
  t.same(redisSets(lines(uninstall(older, false))), []);
  t.match(keptByUninstall(older, { purge: false }), [/keeps appendonly yes, .* was set before is not known/]);
});

t.test('uninstall --purge removes keys in Redis when all are this server’s, and else says why they stay', async (t) => {
  const found = { address: 'redis://127.0.0.1:6379/2', count: 12 };
  const mine = { ...installed, keys: found };
  t.match(
    shellText(uninstall(mine, true)),
    '# remove the 12 keys fairlead:* in redis://127.0.0.1:6379/2: all are of this server',
  );
  t.ok(lines(uninstall(mine, true)).includes('node cli.js service forget-keys'));
  t.same(keptByUninstall(mine, { purge: true }), []);
  t.notMatch(shellText(uninstall(mine, false)), 'forget-keys');
  const shared = { ...installed, keys: { ...found, kept: 'another server has keys there, too' } };
  t.notMatch(shellText(uninstall(shared, true)), 'forget-keys');
  t.same(keptByUninstall(shared, { purge: true }), [
    'the keys fairlead:* in redis://127.0.0.1:6379/2 are kept: another server has keys there, too',
  ]);
});
