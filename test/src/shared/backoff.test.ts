import t from 'tap';
import { backoffMs } from '../../../src/shared/backoff.js';

const of = (failures: number): number => backoffMs(failures, { firstMs: 100, maxMs: 1_000 }, 0.5);

t.test('the wait doubles up to its maximum, and stays a delay that a timer takes', async (t) => {
  t.same([1, 2, 3, 4, 5, 1_000].map(of), [100, 200, 400, 800, 1_000, 1_000]);
  t.equal(of(0), 100);
});

t.test('jitter spreads it to both sides', async (t) => {
  const backoff = { firstMs: 100, maxMs: 1_000 };
  t.same(
    [0, 1].map((random) => backoffMs(1, backoff, random)),
    [75, 125],
  );
  t.same(
    [0, 1].map((random) => backoffMs(1, { ...backoff, jitter: 1 }, random)),
    [0, 200],
  );
});
