/** What remains of a limit of the model's API, as the time passes. */
import t from 'tap';
import { RateBucket } from '../../../../src/threads/model-calls/rate-bucket.js';

t.test('it fills with the time, and what is charged is missing', async (t) => {
  const bucket = new RateBucket({ kind: 'tokens', limit: 1_000, remaining: 0, resetMs: 10_000 }, 0, 0);
  t.equal(bucket.waitMs(100, 0), 1_000);
  t.equal(bucket.waitMs(100, 1_000), 0);
  bucket.charge(100);
  t.equal(bucket.waitMs(100, 1_000), 1_000, 'the next one comes as much later: no crowd');
  t.equal(bucket.waitMs(100_000, 1_000), 9_000, 'never longer than to the reset');
  t.equal(bucket.waitMs(100_000, 10_000), 0);
  t.equal(bucket.isOver(9_999), false);
  t.equal(bucket.isOver(10_000), true);
});

t.test('what requests under way will use is gone already', async (t) => {
  const bucket = new RateBucket({ kind: 'requests', limit: 50, remaining: 2, resetMs: 48_000 }, 0, 2);
  t.equal(bucket.waitMs(1, 0), 1_000);
});

t.test(
  'without a limit it is empty until the reset, and a reset in hours is looked at again in a minute',
  async (t) => {
    const bucket = new RateBucket({ kind: 'requests', remaining: 0, resetMs: 7_200_000 }, 0, 0);
    t.equal(bucket.waitMs(1, 0), 60_000);
    t.equal(bucket.waitMs(1, 59_000), 1_000);
  },
);
