/** The planner over simulated days of arrivals: one image alone, and several that share a host. */
import t from 'tap';
import type { PoolLimits } from '../../../../workers/docker/pool/plan-pool.js';
import {
  arrivalsBetween,
  DAY,
  HOUR,
  inOrder,
  MINUTE,
  SECOND,
  simulateDay,
  type DayScript,
  type PoolDay,
  type PoolScript,
} from './simulate-day.js';

const limits: PoolLimits = { min: 10, max: 100, maxStarting: 4, maxStartingAhead: 4, idleMs: 15 * MINUTE };
const containers = 1_000;
/** From none to all of `min` warm again, when each start takes up to 1.5 s. */
const REFILL_MS = (limits.min / limits.maxStarting + 1) * 1.5 * SECOND;
const people = (count: number, from: number, withinMs: number): number[] =>
  Array.from({ length: count }, (_, i) => Math.round(from + (i * withinMs) / count));

function dayOf(script: PoolScript, rest: Partial<DayScript> & { seed: number }) {
  const { pools, faults } = simulateDay({ containers, ...rest, pools: [script] });
  const [pool] = pools;
  if (!pool) throw new Error('a day without its pool');
  return { ...pool, faults };
}

function within(times: readonly number[], from: number, to: number): number {
  return times.filter((at) => at >= from && at < to).length;
}

function warmAt({ samples }: PoolDay, at: number): number {
  return samples[Math.ceil(at / SECOND)]?.warm ?? NaN;
}

function longestWaitMs({ served }: PoolDay): number {
  return Math.max(0, ...served.map(({ waitedMs }) => waitedMs));
}

/** The longest stretch with fewer than `min` warm ones, from the last lease on. */
function longestBelowMs({ samples, served }: PoolDay, min: number, from = 0): number {
  const taken = new Set(served.map(({ at, waitedMs }) => Math.ceil((at + waitedMs) / SECOND)));
  let longest = 0;
  let since = 0;
  for (const [second, { warm }] of samples.entries()) {
    since = warm < min && !taken.has(second) && second * SECOND >= from ? since + SECOND : 0;
    longest = Math.max(longest, since);
  }
  return longest;
}

/** Exactly `min` warm ones and nothing under way at every second between. */
function isSteady({ samples, starts, stops }: PoolDay, min: number, from: number, to: number): boolean {
  if (within(starts, from, to) + within(stops, from, to) > 0) return false;
  return samples.slice(Math.ceil(from / SECOND), to / SECOND).every((at) => at.warm === min && at.starting === 0);
}

const officeArrivals = inOrder(
  arrivalsBetween(1, 8 * HOUR, 12 * HOUR, 60),
  people(40, 9 * HOUR, 15 * SECOND),
  arrivalsBetween(2, 13 * HOUR, 18 * HOUR, 40),
);

t.test('an office day: a burst at nine, a break at noon, and silence at night', async (t) => {
  const day = dayOf({ limits, arrivals: officeArrivals }, { seed: 3 });
  t.same(day.faults, []);
  t.equal(day.served.length, officeArrivals.length);
  t.equal(longestWaitMs(day), 0, 'nobody has waited, not even at nine');
  t.ok(longestBelowMs(day, limits.min) <= REFILL_MS, `below min for ${longestBelowMs(day, limits.min)} ms`);
  t.ok(warmAt(day, 9 * HOUR + 5 * MINUTE) > 20, 'the pool has followed the burst');
  const silence = (officeArrivals.at(-1) ?? 0) + limits.idleMs + 2 * SECOND;
  t.ok(isSteady(day, limits.min, silence, DAY), 'at night it holds min, and nothing is started or stopped');
  const noon = Math.max(...officeArrivals.filter((at) => at < 13 * HOUR)) + limits.idleMs + 2 * SECOND;
  t.ok(isSteady(day, limits.min, noon, 13 * HOUR));
});

t.test('a constant trickle neither waits nor makes the pool flap', async (t) => {
  const regular = dayOf({ limits, arrivals: people(DAY / (20 * SECOND), 0, DAY) }, { seed: 4 });
  t.same(regular.faults, []);
  t.equal(regular.stops.length, 0);
  t.equal(
    longestWaitMs({ ...regular, served: regular.served.slice(1) }),
    0,
    'only the first came before the pool was full',
  );

  const [from, to] = [MINUTE, 4 * HOUR];
  const arrivals = arrivalsBetween(5, from, to, 3_600);
  const random = dayOf({ limits, arrivals, leaseMs: 2 * MINUTE }, { seed: 6, lengthMs: to });
  t.same(random.faults, []);
  t.equal(longestWaitMs(random), 0);
  t.ok(longestBelowMs(random, limits.min, from) <= REFILL_MS);
  const stops = random.stops.length;
  t.ok(stops > 0 && stops < arrivals.length / 100, `${stops} stopped for ${arrivals.length} leases`);
  const minutes = Array.from({ length: (to - from) / MINUTE }, (_, i) => from + i * MINUTE);
  const restless = minutes.filter((at) => within(random.stops, at, at + MINUTE) > limits.min / 2).length;
  t.ok(restless <= 4, `in ${restless} minutes more than half of min is stopped`);
});

t.test('sixty at once with ten warm: served as fast as starts go, and remembered for idleMs', async (t) => {
  const at = 10 * HOUR;
  const day = dayOf({ limits, arrivals: people(60, at, 1) }, { seed: 7 });
  t.same(day.faults, []);
  t.equal(day.served.length, 60);
  t.equal(day.served.filter(({ waitedMs }) => waitedMs === 0).length, 10);
  const bestMs = (50 / limits.maxStarting) * SECOND;
  t.ok(longestWaitMs(day) < bestMs * 1.25, `the last one waited ${longestWaitMs(day)} ms, at best ${bestMs}`);
  t.equal(warmAt(day, at + MINUTE), 60);
  t.equal(warmAt(day, at + limits.idleMs - SECOND), 60);
  t.ok(isSteady(day, limits.min, at + limits.idleMs + 2 * SECOND, DAY));
  t.equal(day.stops.length, 50);
});

t.test('the same burst every ten minutes is found ready from the second time on', async (t) => {
  const arrivals = inOrder(...Array.from({ length: 12 }, (_, i) => people(50, HOUR + i * 10 * MINUTE, SECOND)));
  const day = dayOf({ limits, arrivals }, { seed: 8 });
  t.same(day.faults, []);
  t.equal(Math.max(...day.served.filter(({ at }) => at > HOUR + MINUTE).map(({ waitedMs }) => waitedMs)), 0);
  t.equal(within(day.stops, 0, 2 * HOUR + 50 * MINUTE + limits.idleMs), 0);
});

t.test('a burst that lies across the border of two periods is remembered as one', async (t) => {
  const at = HOUR;
  // The first caller opens the period, the burst comes as it ends.
  const day = dayOf({ limits, arrivals: inOrder([at], people(60, at + 9_505, SECOND)) }, { seed: 9 });
  t.same(day.faults, []);
  t.ok(warmAt(day, at + 2 * MINUTE) >= 60, `${warmAt(day, at + 2 * MINUTE)} warm`);
});

t.test('more callers than the host can hold: the queue waits for releases, and the budget holds', async (t) => {
  const arrivals = arrivalsBetween(10, HOUR, 3 * HOUR, 900);
  const day = dayOf({ limits, arrivals, leaseMs: 3 * MINUTE }, { seed: 11, containers: 30 });
  t.same(day.faults, []);
  t.equal(day.served.length + day.refused.length + day.left.length, arrivals.length);
  const best = (2 * HOUR * 30) / (3 * MINUTE);
  t.ok(day.served.length > best * 0.95, `${day.served.length} served, at best ${best}`);
  t.ok(isSteady(day, limits.min, 4 * HOUR, DAY));
});

t.test('a pool without min: empty until someone asks, and when that is forgotten', async (t) => {
  const onDemand = { ...limits, min: 0 };
  const arrivals = inOrder(people(5, 9 * HOUR, MINUTE), people(5, 15 * HOUR, MINUTE));
  const day = dayOf({ limits: onDemand, arrivals }, { seed: 12 });
  t.same(day.faults, []);
  t.equal(day.served.length, 10);
  t.ok(isSteady(day, 0, 0, 9 * HOUR));
  t.ok(isSteady(day, 0, 9 * HOUR + MINUTE + limits.idleMs, 15 * HOUR));
  const nothingKept = dayOf({ limits: { ...onDemand, max: 0 }, arrivals }, { seed: 12 });
  t.same(nothingKept.faults, []);
  t.equal(nothingKept.served.length, 10);
  t.equal(nothingKept.starts.length, 10, 'with max 0 there is one start per caller and no warm one');
});

t.test('an image that fails for two hours is tried less and less, and is back soon after it heals', async (t) => {
  const broken = { from: 11 * HOUR, to: 13 * HOUR };
  const fails = (at: number): boolean => at >= broken.from && at < broken.to;
  const arrivals = arrivalsBetween(13, HOUR, 20 * HOUR, 120);
  const day = dayOf({ limits, arrivals, fails }, { seed: 14 });
  t.same(day.faults, []);
  const lastHour = within(day.starts, broken.to - HOUR, broken.to);
  t.ok(lastHour <= HOUR / (45 * SECOND), `${lastHour} starts in its last hour`);
  t.ok(lastHour >= 50, `${lastHour} starts in its last hour: it must not be given up`);
  t.ok(within(day.starts, broken.from, broken.from + 5 * MINUTE) <= 25, 'the first minutes are no storm either');
  const healed = broken.to + MINUTE + 10 * SECOND + REFILL_MS;
  t.ok(longestBelowMs(day, limits.min, Math.ceil(healed / SECOND) * SECOND) <= REFILL_MS);
  t.ok(warmAt(day, healed) >= limits.min);
  t.equal(within(day.refused, healed, DAY) + within(day.left, healed, DAY), 0);
  const told = within(day.refused, ...([broken.from, broken.to] as const)) + within(day.left, broken.from, broken.to);
  t.ok(told > 100, 'who comes meanwhile is told, and does not wait');
  t.equal(within(day.refused, 0, broken.from), 0);
});

t.test('one start in three fails: everyone is served, and the pool stays full', async (t) => {
  let turn = 0;
  const fails = (): boolean => turn++ % 3 === 2;
  const arrivals = arrivalsBetween(15, MINUTE, DAY, 120);
  const day = dayOf({ limits, arrivals, fails }, { seed: 16 });
  t.same(day.faults, []);
  t.equal(day.served.length, arrivals.length);
  t.ok(longestBelowMs(day, limits.min, MINUTE) < MINUTE);
});

t.test('a clock that jumps keeps the pool neither full nor empty', async (t) => {
  for (const jumpMs of [-8 * HOUR, -HOUR, -5 * MINUTE, HOUR]) {
    const clockErrorMs = (at: number): number => (at < 12 * HOUR ? 0 : jumpMs);
    const burst = people(60, 12 * HOUR - MINUTE, SECOND);
    const arrivals = inOrder(burst, arrivalsBetween(17, 14 * HOUR, 16 * HOUR, 120));
    const day = dayOf({ limits, arrivals }, { seed: 18, clockErrorMs });
    t.same(day.faults, []);
    t.equal(day.served.length, arrivals.length);
    // What the clock repeats may be remembered twice, not for as long as the clock was set back.
    const full = day.samples.slice((12 * HOUR) / SECOND, (14 * HOUR) / SECOND).filter(({ warm }) => warm > limits.min);
    t.ok(full.length * SECOND <= 2 * limits.idleMs + MINUTE, `${full.length} s above min after a jump of ${jumpMs} ms`);
    t.ok(isSteady(day, limits.min, 13.5 * HOUR, 14 * HOUR), `steady after a jump of ${jumpMs} ms`);
    t.ok(longestBelowMs(day, limits.min, 14 * HOUR) <= REFILL_MS);
  }
});

t.test('an image that heals after the clock was set back is not left alone for that long', async (t) => {
  const setBackAt = 12 * HOUR;
  const healsAt = setBackAt + HOUR / 2;
  const fails = (at: number): boolean => at >= 11 * HOUR && at < healsAt;
  const clockErrorMs = (at: number): number => (at < setBackAt ? 0 : -8 * HOUR);
  const day = dayOf(
    { limits: { ...limits, min: 11 }, arrivals: people(12, 11 * HOUR, HOUR), fails },
    { seed: 19, clockErrorMs },
  );
  t.same(day.faults, []);
  t.ok(within(day.starts, setBackAt, healsAt) <= 45);
  t.equal(warmAt(day, healsAt + MINUTE + 20 * SECOND), 11);
});

t.test('of three images in one box neither a broken nor a greedy one starves the third', async (t) => {
  const broken = { limits, arrivals: arrivalsBetween(20, 0, DAY, 60), fails: () => true };
  const greedy = { limits, arrivals: arrivalsBetween(21, 8 * HOUR, 18 * HOUR, 1_500), leaseMs: 3 * MINUTE };
  const modest = { limits: { ...limits, min: 2 }, arrivals: arrivalsBetween(22, HOUR, DAY - HOUR, 12) };
  const { pools, faults } = simulateDay({ pools: [broken, greedy, modest], containers: 60, seed: 23 });
  t.same(faults, []);
  const [sick, large, small] = pools;
  if (!sick || !large || !small) throw new Error('three pools');
  t.equal(small.served.length, modest.arrivals.length, 'all of the third are served');
  t.ok(longestWaitMs(small) < 30 * SECOND, `the longest wait of the third was ${longestWaitMs(small)} ms`);
  const best = (10 * HOUR * 58) / (3 * MINUTE);
  t.ok(large.served.length > best * 0.9, `${large.served.length} of the greedy one served, at best ${best}`);
  t.equal(sick.served.length, 0);
  const fullHours = Array.from({ length: 23 }, (_, i) => within(sick.starts, (i + 1) * HOUR, (i + 2) * HOUR));
  t.ok(Math.max(...fullHours) <= HOUR / (45 * SECOND), 'the broken one is left alone');
});

t.test('two images that both want the whole box get half of it each', async (t) => {
  const leaseMs = 3 * MINUTE;
  const many = [24, 25].map((seed) => ({ limits, arrivals: arrivalsBetween(seed, HOUR, 5 * HOUR, 1_200), leaseMs }));
  const { pools, faults } = simulateDay({ pools: many, containers: 40, seed: 26, lengthMs: 6 * HOUR });
  t.same(faults, []);
  const [one, other] = pools.map(({ served }) => served.length);
  t.ok(one && other && Math.abs(one - other) < (one + other) * 0.05, `${one} and ${other} served`);
});

t.test('idle sandboxes of another image are stopped for a queue, and started again when there is room', async (t) => {
  const idle = { limits: { ...limits, min: 20 }, arrivals: [] };
  const wanted = { limits: { ...limits, min: 0 }, arrivals: people(15, 2 * HOUR, SECOND) };
  const { pools, faults } = simulateDay({ pools: [idle, wanted], containers: 20, seed: 27 });
  t.same(faults, []);
  const [quiet, busy] = pools;
  if (!quiet || !busy) throw new Error('two pools');
  t.equal(busy.served.length, 15);
  t.ok(longestWaitMs(busy) < 15 * SECOND, `the last one waited ${longestWaitMs(busy)} ms`);
  t.equal(within(quiet.stops, 2 * HOUR, DAY), 15, 'no more of them go than people have come');
  t.ok(isSteady(quiet, 20, 2 * HOUR + limits.idleMs + 10 * MINUTE, DAY));
  t.ok(isSteady(busy, 0, 2 * HOUR + limits.idleMs + 10 * MINUTE, DAY));
});

t.test('the same day twice is the same day', async (t) => {
  const script: PoolScript = { limits, arrivals: officeArrivals };
  const day = (): unknown => simulateDay({ pools: [script], containers, seed: 28, lengthMs: 10 * HOUR });
  t.same(day(), day());
});
