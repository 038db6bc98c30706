/**
 * No file is lost without a word, whatever dies: the short form of `npm run chaos -- --plan deaths`.
 * To repeat a failure: `npm run chaos -- --plan deaths --events 16 --people 3 --seed N`.
 */
import { randomInt } from 'node:crypto';
import t from 'tap';
import { runDeaths } from '../chaos/deaths/run.js';

/** About two minutes on two idle cores. */
const TIMEOUT_MS = 600_000;
const DEATHS = 16;
const PEOPLE = 3;

const seed = Number(process.env['CHAOS_SEED'] ?? randomInt(2 ** 31));
t.setTimeout(TIMEOUT_MS);
const ends: (() => Promise<unknown>)[] = [];
t.teardown(async () => {
  for (const end of ends.toReversed()) await end();
});

const report = await runDeaths({ seed, events: DEATHS, people: PEOPLE, onTeardown: (end) => ends.push(end) });
t.comment(`--plan deaths --events ${DEATHS} --people ${PEOPLE} --seed ${seed}: ${Math.round(report.seconds)} s`);
t.comment(JSON.stringify(report.events), JSON.stringify(report.figures));
t.same(report.violations, [], `--plan deaths --seed ${seed}`);
t.equal(report.figures.lostWithoutAWord, 0);
// Otherwise the deaths struck idle users.
t.ok(report.figures.confirmed >= 2 * DEATHS && report.figures.losses > 0, JSON.stringify(report.figures));
