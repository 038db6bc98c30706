import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { isPrivileged, redisInclude, settingsBefore, siteText } from '../../../../src/cli/service/texts.js';

t.test('the site that is written is the one of docs/tls.md, which refuses /metrics', async (t) => {
  const page = await readFile(fileURLToPath(new URL('../../../../../docs/tls.md', import.meta.url)), 'utf8');
  const [, shown] = /^```caddyfile\n([^]*?)^```/m.exec(page) ?? [];
  const [comment = '', ...rest] = siteText('ai.example.org', 3000).split('\n');
  t.match(comment, /^# Of Fairlead/);
  t.equal(rest.join('\n'), shown);
  t.match(shown, /^\trespond \/metrics 404$/m);
});

t.test('what was set in Redis before is read back from the include', async (t) => {
  const before = { appendonly: 'no', 'maxmemory-policy': 'volatile-lru' };
  t.same(settingsBefore(redisInclude(before)), before);
  t.same(settingsBefore(redisInclude({})), {});
});

t.test('ports below 1024 are privileged, and any free one is not', async (t) => {
  t.same([0, 1, 443, 1_023, 1_024, 3_000].filter(isPrivileged), [1, 443, 1_023]);
});
