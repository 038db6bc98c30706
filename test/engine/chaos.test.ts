/**
 * Nothing lost, in a short form: people who want turns done while everything they depend on dies at random. The long form is
 * `npm run chaos -- --events 1000`; a failure comes again with `npm run chaos -- --events 35 --people 12 --seed N`.
 */
import { randomInt } from 'node:crypto';
import t from 'tap';
import { runChaos } from '../chaos/system/run.js';

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

const report = await runChaos({ seed, events: EVENTS, people: PEOPLE, onTeardown: (end) => ends.push(end) });
t.comment(`--events ${EVENTS} --people ${PEOPLE} --seed ${seed}: ${Math.round(report.seconds)} s`);
t.comment(JSON.stringify(report.figures));
t.same(report.violations, [], `--seed ${seed}`);
const { figures } = report;
// Else it was chaos of nothing.
t.ok(figures.messages > 30 && figures.effects > 12 && figures.approvals > 6, JSON.stringify(figures));
