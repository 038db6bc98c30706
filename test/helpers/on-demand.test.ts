import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { installOnDemand } from './on-demand.js';

t.test('a set of packages is installed once, and its install scripts run only where that is wanted', async (t) => {
  const source = t.testdir({
    'package.json': JSON.stringify({
      name: 'fairlead-example',
      version: '1.0.0',
      scripts: { postinstall: 'touch ran' },
    }),
    cache: {},
  });
  const cache = join(source, 'cache');
  const packages = { 'fairlead-example': `file:${source}` };
  const lines: string[] = [];
  const install = (scripts: boolean): Promise<string> =>
    installOnDemand({ packages, scripts, cache, log: (line) => lines.push(line) });
  const folder = await install(false);
  t.ok(existsSync(join(folder, 'node_modules', 'fairlead-example', 'package.json')));
  t.notOk(existsSync(join(source, 'ran')));
  writeFileSync(join(folder, 'mark'), '');
  t.equal(await install(false), folder);
  t.ok(existsSync(join(folder, 'mark')), 'what is there stays');
  t.same(lines, [`installing fairlead-example@file:${source}`]);
  t.not(await install(true), folder, 'the same packages with their scripts are another set');
  t.equal(readdirSync(cache).length, 2, 'nothing half made is left');
});

t.test('what cannot be installed is told with the words of npm, and leaves nothing', async (t) => {
  const cache = t.testdir({});
  const missing = join(cache, 'missing.tgz');
  await t.rejects(installOnDemand({ packages: { missing: `file:${missing}` }, cache, log: () => undefined }), {
    message: /npm install ended with \d+:\n.*ENOENT/s,
  });
  t.same(readdirSync(cache), []);
});
