/** How fast one model is asked: the pause after a refusal, the slow start behind it, and what remains of the API's limits. */
import t from 'tap';
import { ModelLane } from '../../../../src/threads/model-calls/model-lane.js';

const THREAD = 0;

/** Begins as many as may begin, and returns their number. */
function begin(lane: ModelLane, now: number, most = 1_000): number {
  let begun = 0;
  while (begun < most && lane.waitMs(now) <= 0) {
    lane.begin(THREAD);
    begun++;
  }
  return begun;
}

t.test('nothing is bounded before the first refusal', async (t) => {
  const lane = new ModelLane();
  t.equal(begin(lane, 0), 1_000);
  t.equal(lane.isFree(0, true), true);
});

t.test('after a refusal nobody begins in the pause; behind it one begins, and more with each answer', async (t) => {
  const lane = new ModelLane();
  for (let refused = 0; refused < 40; refused++) lane.refused(2_000, 40 - refused, 0);
  t.equal(lane.waitMs(500), 1_500);
  t.equal(begin(lane, 1_999), 0);
  t.equal(begin(lane, 2_000), 1, 'no crowd at the reset');
  t.equal(lane.waitMs(2_000), Infinity, 'the next one begins when that one is answered');
  const atOnce: number[] = [];
  let running = 1;
  for (let round = 0; round < 5; round++) {
    for (let answered = 0; answered < running; answered++) {
      lane.answered([], 3_000);
      lane.end({ thread: THREAD }, true);
    }
    running = begin(lane, 3_000);
    atOnce.push(running);
  }
  t.same(atOnce, [2, 4, 8, 16, 20], 'twice as many each time, up to half of what was refused, then slowly');
  t.equal(lane.isFree(3_000, true), false);
  t.equal(lane.isFree(33_000, true), false, 'some wait: they are not let in all at once');
  t.equal(lane.isFree(33_001, false), true);
});

t.test('refused again behind the pause, it waits longer where the API does not say how long', async (t) => {
  const lane = new ModelLane();
  let now = 0;
  const pauses: number[] = [];
  for (let refusal = 0; refusal < 8; refusal++) {
    const pause = lane.refused(undefined, 1, now);
    pauses.push(pause);
    now += pause;
    t.equal(begin(lane, now), 1);
    lane.end({ thread: THREAD }, true);
  }
  const [first = 0, second = 0, third = 0] = pauses;
  t.ok(first <= 2_000 && first < second && second < third && third <= 8_000, pauses.join());
  t.ok(
    pauses.slice(-3).every((pause) => pause >= 15_000 && pause <= 45_000),
    pauses.join(),
  );
});

t.test('a thread that dies leaves its places', async (t) => {
  const lane = new ModelLane();
  lane.refused(1, 1, 0);
  t.equal(begin(lane, 1), 1);
  t.equal(begin(lane, 1), 0);
  lane.threadEnded(THREAD);
  t.equal(begin(lane, 1), 1);
});

t.test('where little remains, requests are spread until the reset by what one has cost so far', async (t) => {
  const lane = new ModelLane();
  for (let ended = 0; ended < 100; ended++) lane.end({ thread: THREAD, tokens: { input: 1_000, output: 100 } }, false);
  lane.answered([{ kind: 'input-tokens', limit: 100_000, remaining: 2_000, resetMs: 60_000 }], 0);
  t.equal(lane.isFree(0, false), false);
  const at: number[] = [];
  for (let now = 0; now < 4_000; now += 10) if (begin(lane, now, 1) === 1) at.push(now);
  t.ok(at.length >= 6 && at.length <= 8, `${at.length} in 4 s: two at once, then one in 610 ms`);
  const gaps = at.slice(2).map((time, index) => time - (at[index + 1] ?? 0));
  t.ok(
    gaps.every((gap) => gap > 400 && gap < 900),
    gaps.join(),
  );
  lane.answered([{ kind: 'input-tokens', limit: 100_000, remaining: 90_000, resetMs: 6_000 }], 4_000);
  t.equal(lane.isFree(4_000, false), true);
});

t.test('a limit of which much remains bounds nothing', async (t) => {
  const lane = new ModelLane();
  lane.answered([{ kind: 'requests', limit: 50, remaining: 20, resetMs: 60_000 }], 0);
  t.equal(lane.isFree(0, true), true);
  t.equal(begin(lane, 0, 200), 200);
});
