import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import t from 'tap';
import { readTestImports, selectUnitTests } from '../helpers/unit-tests.js';
import { MUTANTS } from './mutants.js';
import { applyMutant } from './slip.js';

const DIST = fileURLToPath(new URL('../../', import.meta.url));

t.test('every slip applies to the code as it is built now, and changes it', async (t) => {
  for (const mutant of MUTANTS) {
    const text = await readFile(join(DIST, mutant.file), 'utf8').catch(() => '');
    t.doesNotThrow(() => t.not(applyMutant(mutant, text), text), `${mutant.file}: ${mutant.find}`);
  }
});

t.test('the tests that must notice a slip are unit tests', async (t) => {
  const unit = new Set(selectUnitTests(await readTestImports()));
  for (const test of new Set(MUTANTS.flatMap(({ tests }) => tests))) t.ok(unit.has(test), test);
});

t.test('a slip that stands nowhere, or twice, is refused loudly', async (t) => {
  const mutant = { file: 'a.js', find: 'x > 1', replace: 'x > 2', tests: [] };
  t.throws(() => applyMutant(mutant, 'x >= 1'), /does not apply/);
  t.throws(() => applyMutant(mutant, 'x > 1; x > 1'), /does not apply/);
  t.equal(applyMutant(mutant, 'if (x > 1) y();'), 'if (x > 2) y();');
});
