import t from 'tap';
import { readTotals } from './tap-run.js';

t.test('the figures are those of the last count at the top level', async (t) => {
  const tap = '    # { total: 9, pass: 9 }\n# { total: 7, pass: 2, fail: 3, todo: 1, skip: 1 }\n# time=5ms\n';
  t.same(readTotals(tap, false), { passed: 2, failed: 3, skipped: 2 });
});

t.test('a run where all pass has no failures', async (t) => {
  t.same(readTotals('# { total: 2, pass: 2 }\n', true), { passed: 2, failed: 0, skipped: 0 });
});

t.test('a run that failed without a failed assertion, or without any count, counts one failure', async (t) => {
  t.same(readTotals('# { total: 2, pass: 2 }\n', false), { passed: 2, failed: 1, skipped: 0 });
  t.same(readTotals('', false), { passed: 0, failed: 1, skipped: 0 });
});
