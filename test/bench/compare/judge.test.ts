import t from 'tap';
import { ASSUMED_NOISE, judge, MIN_CHANGE, type Change } from '../../../bench/compare/judge.js';

interface Case {
  name: string;
  better?: 'higher' | 'lower';
  a: number[];
  b: number[];
  change: Change;
}

const CASES: Case[] = [
  { name: 'the very same', a: [1, 1, 1], b: [1, 1, 1], change: 'same' },
  { name: 'far beyond what the runs scatter, upwards', a: [1, 1.02, 0.98], b: [1.5, 1.48, 1.52], change: 'better' },
  {
    name: 'the same, where lower is better',
    better: 'lower',
    a: [1, 1.02, 0.98],
    b: [1.5, 1.48, 1.52],
    change: 'worse',
  },
  { name: 'far beyond, downwards', a: [1, 1.02, 0.98], b: [0.5, 0.48, 0.52], change: 'worse' },
  {
    name: 'runs apart, but not further than such runs may be by chance',
    a: [1, 1.02, 0.98],
    b: [1.05, 1.03, 1.07],
    change: 'same',
  },
  { name: 'ranges that overlap', a: [1, 1.3, 0.9], b: [1.2, 1.1, 1.4], change: 'same' },
  { name: 'one wild run hides a change rather than making one', a: [1, 1, 1], b: [1, 1, 9], change: 'same' },
  { name: 'quiet runs, a change too small to matter', a: [1, 1, 1], b: [0.98, 0.98, 0.98], change: 'same' },
  { name: 'quiet runs, a change that matters', a: [1, 1, 1], b: [0.96, 0.96, 0.96], change: 'worse' },
  {
    name: 'more runs find what three leave open',
    a: [1, 1.02, 0.98, 1, 1.02, 0.98, 1],
    b: [1.05, 1.03, 1.07, 1.05, 1.03, 1.07, 1.05],
    change: 'better',
  },
  { name: 'one run each, within what is assumed', a: [1], b: [0.85], change: 'same' },
  { name: 'one run each, beyond it', a: [1], b: [0.7], change: 'worse' },
  { name: 'two and one, a range wider than what is assumed', a: [1, 2], b: [0.7], change: 'same' },
  { name: 'from nothing to something', better: 'lower', a: [0, 0, 0], b: [5, 5, 5], change: 'worse' },
  { name: 'from something to nothing', better: 'lower', a: [5, 5, 5], b: [0, 0, 0], change: 'better' },
  { name: 'nothing at all', better: 'lower', a: [0, 0, 0], b: [0, 0, 0], change: 'same' },
  { name: 'below zero, upwards', better: 'lower', a: [-10, -10, -10], b: [-2, -2, -2], change: 'worse' },
  { name: 'only A has it', a: [1, 1], b: [], change: 'gone' },
  { name: 'only B has it', a: [], b: [1, 1], change: 'new' },
  { name: 'a figure that could not be had is not there', a: [1, 1], b: [Number.NaN, Infinity], change: 'gone' },
  { name: 'nobody has it', a: [Number.NaN], b: [], change: 'none' },
];

for (const { name, better = 'higher', a, b, change } of CASES) {
  t.test(`${name}: ${change}`, async (t) => {
    t.equal(judge(better, a, b).change, change);
    const swapped: Partial<Record<Change, Change>> = { better: 'worse', worse: 'better', gone: 'new', new: 'gone' };
    t.equal(judge(better, b, a).change, swapped[change] ?? change, 'and the other way round the other way');
  });
}

t.test('the figures are median, lowest and highest, and the noise has the unit of the ratio', async (t) => {
  const { a, b, noise, assumed } = judge('higher', [3, 1, 2], [4, 8]);
  t.strictSame(a, { median: 2, min: 1, max: 3, runs: 3 });
  t.strictSame(b, { median: 6, min: 4, max: 8, runs: 2 });
  // s² = (2 + 8) / 3; t at 3 degrees of freedom is 5.84, and a median scatters a quarter more than a mean.
  t.ok(Math.abs(noise - 5.84 * 1.25 * Math.sqrt((10 / 3) * (1 / 3 + 1 / 2))) < 1e-9);
  t.equal(assumed, false);
  t.match(judge('higher', [10], [8]), { noise: 10 * ASSUMED_NOISE, assumed: true });
  t.match(judge('higher', [0.8, 0.9], [1, 1.1]), { assumed: false });
});

t.test('runs of one commit are hardly ever called a change', async (t) => {
  let seed = 1;
  /** Park and Miller's, so that the test is the same each time. */
  const random = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  const normal = (): number => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
  const runs = (count: number): number[] => Array.from({ length: count }, () => 1 + 0.1 * normal());
  for (const count of [2, 3, 5, 9]) {
    let changed = 0;
    for (let index = 0; index < 5_000; index++)
      if (judge('higher', runs(count), runs(count)).change !== 'same') changed++;
    t.ok(changed / 5_000 < 0.015, `${count} runs: ${changed} of 5,000`);
  }
  t.equal(MIN_CHANGE, 0.03, 'which is not what kept them apart: the runs scatter by a tenth');
});
