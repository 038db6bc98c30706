import t from 'tap';
import { Slice } from '../../../../workers/agent/turn/slice.js';

function slicesOf(gaps: readonly number[]): number[] {
  let now = 1_000;
  const slice = new Slice(() => now);
  const over: number[] = [];
  for (const [index, gap] of gaps.entries()) {
    now += gap;
    if (slice.isOver()) over.push(index);
  }
  return over;
}

void t.test('events that are ready together are cut into slices of a millisecond', async (t) => {
  const over = slicesOf(Array.from({ length: 100 }, () => 0.05));
  t.equal(over.length, 4, over.join(' '));
});

void t.test('events that come one by one are not held up', async (t) => {
  t.same(slicesOf(Array.from({ length: 100 }, () => 25)), []);
  t.same(slicesOf([25, 0.1, 0.1, 25, 0.1, 0.1, 25, 0.1]), [], 'a few of one packet neither');
});
