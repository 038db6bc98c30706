/**
 * Nothing is lost while everything that Fairlead depends on dies at random: the short form of `npm run chaos -- --events 1000`.
 * To repeat a failure: `npm run chaos -- --events 35 --people 12 --seed N`.
 */
import { randomInt } from 'node:crypto';
import t from 'tap';
import { runSystemChaos } from '../chaos/system/run.js';

/** About a minute on two idle cores. */
const TIMEOUT_MS = 360_000;
const EVENTS = 35;
const PEOPLE = 12;

const seed = Number(process.env['CHAOS_SEED'] ?? randomInt(2 ** 31));
t.setTimeout(TIMEOUT_MS);
const ends: (() => Promise<unknown>)[] = [];
t.teardown(async () => {
  for (const end of ends.toReversed()) await end();
});

const report = await runSystemChaos({ seed, events: EVENTS, people: PEOPLE, onTeardown: (end) => ends.push(end) });
t.comment(`--events ${EVENTS} --people ${PEOPLE} --seed ${seed}: ${Math.round(report.seconds)} s`);
t.comment(JSON.stringify(report.figures));
t.same(report.violations, [], `--seed ${seed}`);
const { figures } = report;
// Otherwise the faults struck an idle server.
t.ok(figures.messages > 30 && figures.effects > 12 && figures.approvals > 6, JSON.stringify(figures));
