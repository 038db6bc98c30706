import { access } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { chosen, compareCommits } from '../../../bench/compare/commits.js';
import { benchesOf, commitOf } from '../../../bench/compare/git.js';
import { runBench } from '../../../bench/compare/run-bench.js';
import { takeTurns } from '../../../bench/compare/turns.js';
import { readResults } from '../../../bench/suite/result.js';
import { runsOf, someResult } from '../some-result.js';
import { smallRepository } from './small-repository.js';

const never = new AbortController().signal;
/** Git's own name for a tree without files. */
const NOTHING = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';
const turns = { benches: [], runs: 2, full: false };

t.test('both commits are built and run, and no work tree is left', async (t) => {
  const { root, commit, worktrees } = smallRepository(t);
  const [a, b] = [commit(1), commit(0.5)];
  const keep = join(t.testdir(), 'kept');
  const { sides, failures, notes } = await compareCommits(root, [a, b], { ...turns, keep }, never);
  t.strictSame(failures, []);
  t.strictSame(notes, []);
  const found = sides.map(({ results }) => results.map(({ bench, ratios }) => `${bench} ${ratios[0]?.value}`));
  t.strictSame(found[0], ['http 1', 'http 1', 'pool 1', 'pool 1']);
  t.strictSame(found[1], ['http 0.5', 'http 0.5', 'pool 0.5', 'pool 0.5']);
  t.equal((await readResults(join(keep, 'A'))).length, 2, 'one of each bench: all say the same time here');
  t.equal(worktrees().length, 1);
  await access(join(root, 'node_modules', 'kept'));
});

t.test('a bench that fails is told and not run again; the others are', async (t) => {
  const { root, commit, worktrees } = smallRepository(t);
  const { sides, failures } = await compareCommits(root, [commit(1), commit(-1)], turns, never);
  t.match(failures, [/^bench http of B \(value--1 \(\w{7}\)\) failed: it broke$/, /^bench pool of B/]);
  t.same([sides[0].results.length, sides[1].results.length], [2, 0]);
  t.equal(worktrees().length, 1);
});

t.test('an interruption ends the bench that runs, lets it clean up, and removes the work trees', async (t) => {
  const { root, commit, worktrees } = smallRepository(t);
  const [waits, other] = [commit(0), commit(1)];
  const interruption = new AbortController();
  const seen: unknown[] = [];
  const work = compareCommits(root, [waits, other], turns, interruption.signal, async (path, name, context) => {
    const progress = (doing: string): void => {
      seen.push(doing);
      if (doing === 'waiting') interruption.abort(new Error('interrupted'));
    };
    const told = await runBench(path, name, { ...context, progress });
    seen.push(told, worktrees().length);
    return told;
  });
  await t.rejects(work, { message: 'interrupted' });
  t.strictSame(seen, ['waiting', 'cleaning up', 'cleaned up', 3]);
  t.equal(worktrees().length, 1);
});

t.test('the two take turns', async (t) => {
  const order: string[] = [];
  const [a, b] = [{ letter: 'A', name: 'a', path: 'a' } as const, { letter: 'B', name: 'b', path: 'b' } as const];
  await takeTurns([a, b], { benches: ['http', 'pool'], runs: 2, full: true }, never, async (root, bench, { full }) => {
    order.push(`${root} ${bench} ${full}`);
    return runsOf([1])[0] ?? someResult();
  });
  t.equal(
    order.join('; '),
    'a http true; b http true; a http true; b http true; a pool true; b pool true; a pool true; b pool true',
  );
});

t.test('the benches are those that both have, or those asked for', async (t) => {
  t.strictSame(chosen(['http', 'pool', 'old'], ['old', 'pool', 'http'], []), ['http', 'pool']);
  t.strictSame(chosen(['http', 'pool'], ['http', 'pool'], ['pool']), ['pool']);
  t.throws(() => chosen(['http', 'pool'], ['http'], ['pool']), /no bench pool in B/);
  t.throws(() => chosen(['http'], ['pool'], []), /no bench in common/);
});

t.test('a commit from before the suite, and what is no commit, are told', async (t) => {
  const { root, commit } = smallRepository(t);
  const { hash } = commit(1);
  t.equal(await commitOf(root, 'HEAD'), hash);
  t.equal(await commitOf(root, 'nowhere'), undefined);
  t.equal(await commitOf(root, '--help'), undefined);
  t.strictSame(await benchesOf(root, hash), ['http', 'pool']);
  await t.rejects(benchesOf(root, NOTHING), /is from before there was a suite of benches/);
});
