import t from 'tap';
import { listFailures } from './tap-failures.js';

const tap = `TAP version 14
1..3
# Subtest: a.test.js
    # Subtest: outer
        ok 1 - fine
        # Subtest: inner
            not ok 1 - should be equal
              ---
              diff: |
                not ok 9 - only a diagnostic
              at:
                fileName: a.test.ts
              ...
            1..1
        not ok 2 - inner # time=2ms
          ---
          at:
            fileName: elsewhere
          ...
        1..2
    not ok 1 - outer # time=3ms
    1..1
not ok 1 - a.test.js # time=4ms
  ---
  exitCode: 1
  ...
# Subtest: b.test.js
    ok 1 - fine
    1..1
ok 2 - b.test.js # time=1ms
# Subtest: c.test.js
    1..0 # no tests found
not ok 3 - c.test.js # time=4742.094ms
  ---
  cwd: /somewhere
  args:
    - --import=x
  signal: SIGALRM
  ...
# { total: 4, pass: 2, fail: 2 }
`;

t.test('a failed assertion is told once, with the names above it and its own diagnostics', async (t) => {
  t.same(listFailures(tap).slice(0, 5), [
    '✖ a.test.js > outer > inner > should be equal',
    '              diff: |',
    '                not ok 9 - only a diagnostic',
    '              at:',
    '                fileName: a.test.ts',
  ]);
});

t.test('a file that failed without a failed assertion is told, without how it was run', async (t) => {
  t.same(listFailures(tap).slice(5), ['✖ c.test.js', '  signal: SIGALRM']);
});

t.test('a run where all passed tells nothing', async (t) => {
  t.same(listFailures('# Subtest: b\n    ok 1 - fine\n    1..1\nok 1 - b\n'), []);
});
