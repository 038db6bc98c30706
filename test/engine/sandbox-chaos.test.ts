/**
 * Containers, dockerd, the docker thread and the server die at random, several at a time; then exactly those containers,
 * processes, open files and archives are left that the store and the server say.
 * To repeat a failure: `npm run chaos -- --plan sandbox --seed N`.
 */
import { randomInt } from 'node:crypto';
import t from 'tap';
import { EVENTS } from '../chaos/sandbox/plan.js';
import { runSandboxChaos } from '../chaos/sandbox/run.js';

/** About 100 s on two idle cores. */
const TIMEOUT_MS = 360_000;
const AT_ONCE = 6;

const seed = Number(process.env['CHAOS_SEED'] ?? randomInt(2 ** 31));
t.setTimeout(TIMEOUT_MS);
const ends: (() => Promise<unknown>)[] = [];
t.teardown(async () => {
  for (const end of ends.toReversed()) await end();
});

const report = await runSandboxChaos({ seed, events: EVENTS, people: AT_ONCE, onTeardown: (end) => ends.push(end) });
t.comment(`--plan sandbox --seed ${seed}: ${Math.round(report.seconds)} s`);
t.comment(JSON.stringify(report.events), JSON.stringify(report.figures));
t.same(report.violations, [], `--plan sandbox --seed ${seed}`);
const count = Object.values(report.events).reduce((sum, each) => sum + each, 0);
t.equal(count, EVENTS);
t.ok(count >= 200, `${count} events`);
// Otherwise the faults struck an idle server.
for (const kind of ['open', 'read', 'write', 'cancel', 'cut']) t.ok((report.figures[`${kind} ok`] ?? 0) >= 5, kind);
t.ok((report.figures['hibernated with files'] ?? 0) > 0);
