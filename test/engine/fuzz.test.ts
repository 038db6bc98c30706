/** The short form of `npm run fuzz`. To repeat a failure: `npm run fuzz -- --minutes 1 --seed N`. */
import { randomInt } from 'node:crypto';
import t from 'tap';
import { runFuzz } from '../fuzz/run.js';

const SECONDS = 20;
const seed = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 31));
t.setTimeout(240_000);
const ends: (() => Promise<unknown>)[] = [];
t.teardown(async () => {
  for (const end of ends.toReversed()) await end();
});

const report = await runFuzz({ seed, seconds: SECONDS, onTeardown: (end) => ends.push(end) });
t.comment(JSON.stringify({ seed, ...report }));
t.same(report.violations, [], `--seed ${seed}`);
for (const { name, cases } of report.targets) t.ok(cases > 0, `${name} was tried`);
