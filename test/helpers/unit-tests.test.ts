import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { closureOf, readTestImports, selectUnitTests, SERVICE_HELPERS, TESTS } from './unit-tests.js';

/** What only code that starts or reaches Redis or Docker has in it. The brackets keep this file from finding itself. */
const TRACES = /from '(dockerode)'|\b(createClient)\(|spawn\w*\('(redis-server|dockerd|docker)'/;

t.test('every helper that the selection goes by exists', async (t) => {
  const imports = await readTestImports();
  for (const helper of SERVICE_HELPERS) t.ok(imports.has(helper), helper);
});

t.test('no unit test reaches Redis or Docker by a way that the selection does not know', async (t) => {
  const imports = await readTestImports();
  const unit = selectUnitTests(imports);
  t.ok(unit.length > 100, `${unit.length} unit tests of ${[...imports.keys()].filter(isTest).length}`);
  const loaded = new Set(unit.flatMap((file) => [...closureOf(file, imports)]));
  for (const file of loaded) {
    if (TRACES.test(await readFile(join(TESTS, file), 'utf8'))) t.fail(`${file} belongs into SERVICE_HELPERS`);
  }
});

t.test('a test that reaches Redis or Docker through other helpers is no unit test', async (t) => {
  const imports = new Map([
    ['a.test.js', ['helpers/stack.js']],
    ['helpers/stack.js', ['helpers/redis.js']],
    ['helpers/redis.js', []],
    ['b.test.js', ['helpers/loop.js']],
    ['helpers/loop.js', ['b.test.js']],
  ]);
  t.same(selectUnitTests(imports), ['b.test.js']);
});

function isTest(file: string): boolean {
  return file.endsWith('.test.js');
}
