/** The planner as a function: small cases by hand, and what holds for any state at all. Its days are in plan-days.test.ts. */
import { isDeepStrictEqual } from 'node:util';
import t from 'tap';
import {
  DEMAND_PERIOD_MS,
  expectedWaitMs,
  noteDemand,
  planPools,
  planPool,
  startBackoffMs,
  type Churn,
  type DemandPeriod,
  type PoolCounts,
  type PoolLimits,
  type PoolPlan,
  type StartHealth,
} from '../../../../workers/docker/pool/plan-pool.js';
import { MINUTE, randomFrom, SECOND } from './simulate-day.js';

const now = Date.UTC(2025, 2, 3, 12);
const limits: PoolLimits = { min: 10, max: 100, maxStarting: 4, maxStartingAhead: 4, idleMs: 15 * MINUTE };
const healthy: StartHealth = { failures: 0, notBefore: 0 };
const none: PoolCounts = { starting: 0, warm: 0, waiting: 0, leased: 0, draining: 0 };

interface State {
  counts: PoolCounts;
  demand: DemandPeriod[];
  limits: PoolLimits;
  health: StartHealth;
  churn?: Churn;
}

function poolWith(counts: Partial<PoolCounts>, rest: Partial<State> = {}): State {
  return { counts: { ...none, ...counts }, demand: [], limits, health: healthy, ...rest };
}

function planOf(state: State, room = 1_000): PoolPlan {
  return planPool({ ...state, room, now });
}

function targetOf(...demand: DemandPeriod[]): number {
  return planOf(poolWith({}, { demand })).target;
}

function before(ms: number, leases: number): DemandPeriod {
  return { at: now - ms, leases };
}

function startOf(counts: Partial<PoolCounts>, health: StartHealth, min = 10): number {
  return planOf(poolWith(counts, { health, limits: { ...limits, min } })).start;
}

function churnStartOf(counts: Partial<PoolCounts>, modest: number, notBefore: number): number {
  return planOf(poolWith(counts, { churn: { modest, atOnce: 1, notBefore } })).start;
}

function startsOf(room: number, ...pools: State[]): number[] {
  return planPools({ pools, room, now }).map(({ start }) => start);
}

function stopsOf(room: number, ...pools: State[]): number[] {
  return planPools({ pools, room, now }).map(({ stop }) => stop);
}

function waitOf(position: number, maxStarting = 4): number {
  return expectedWaitMs({ position, starting: 0, maxStarting, startMs: 500, room: Infinity, releaseMs: 0 });
}

t.test('an empty pool is filled to min, maxStarting at a time and no more than there is room for', async (t) => {
  t.same(planOf(poolWith({})), { start: 4, stop: 0, target: 10 });
  t.same(planOf(poolWith({ starting: 3 })), { start: 1, stop: 0, target: 10 });
  t.same(planOf(poolWith({ starting: 4 })), { start: 0, stop: 0, target: 10 });
  t.same(planOf(poolWith({ warm: 9 })), { start: 1, stop: 0, target: 10 });
  t.same(planOf(poolWith({ warm: 10, leased: 50 })), { start: 0, stop: 0, target: 10 });
  t.same(planOf(poolWith({}), 2), { start: 2, stop: 0, target: 10 });
  t.same(planOf(poolWith({}), 0), { start: 0, stop: 0, target: 10 });
});

t.test('ahead of demand fewer start at once than for those who wait', async (t) => {
  const careful = { ...limits, maxStartingAhead: 1 };
  t.equal(planOf(poolWith({}, { limits: careful })).start, 1);
  t.equal(planOf(poolWith({ starting: 1 }, { limits: careful })).start, 0);
  t.equal(planOf(poolWith({ waiting: 3 }, { limits: careful })).start, 3);
  t.equal(planOf(poolWith({ waiting: 3, starting: 2 }, { limits: careful })).start, 1);
  t.equal(planOf(poolWith({ waiting: 30 }, { limits: careful })).start, 4);
});

t.test('waiters are served beyond max, and sandboxes started for them are no surplus', async (t) => {
  t.equal(planOf(poolWith({ waiting: 3, warm: 10 })).start, 3);
  t.equal(planOf(poolWith({ waiting: 3 }, { limits: { ...limits, min: 0, max: 0 } })).start, 3);
  t.same(planOf(poolWith({ waiting: 20, starting: 2, warm: 12 })), { start: 2, stop: 0, target: 10 });
});

t.test('the target is what was asked for within two neighbouring periods, between min and max', async (t) => {
  t.equal(targetOf(before(MINUTE, 5)), 10);
  t.equal(targetOf(before(MINUTE, 40)), 40);
  t.equal(targetOf(before(MINUTE, 400)), 100);
  t.equal(targetOf(before(MINUTE, 20), before(40 * SECOND, 30)), 30, 'not neighbours');
  t.equal(targetOf(before(MINUTE, 20), before(MINUTE - DEMAND_PERIOD_MS, 30)), 50);
  t.equal(targetOf(before(MINUTE, 20), before(MINUTE - 1.5 * DEMAND_PERIOD_MS, 30)), 50, 'a period opens with a lease');
  t.equal(targetOf(before(limits.idleMs, 40)), 40);
  t.equal(targetOf(before(limits.idleMs + 1, 40)), 10);
  t.equal(targetOf(before(-limits.idleMs, 40)), 10, 'of a clock that has been set back');
});

t.test('the surplus goes when demand is forgotten, and not while someone could use it', async (t) => {
  t.same(planOf(poolWith({ warm: 60 })), { start: 0, stop: 50, target: 10 });
  t.same(planOf(poolWith({ warm: 12, starting: 4 })), { start: 0, stop: 2, target: 10 });
  t.same(planOf(poolWith({ warm: 9, starting: 4 })), { start: 0, stop: 0, target: 10 });
  t.equal(planOf(poolWith({ warm: 60, waiting: 45 })).stop, 5);
});

t.test('after a failure one start at a time, and none before the rest is over', async (t) => {
  t.equal(startOf({}, { failures: 1, notBefore: now + 1 }), 0);
  t.equal(startOf({ waiting: 5 }, { failures: 1, notBefore: now + MINUTE }), 0);
  t.equal(startOf({}, { failures: 1, notBefore: now }), 1);
  t.equal(startOf({ starting: 1 }, { failures: 1, notBefore: now }), 0);
  t.equal(startOf({ starting: 3 }, { failures: 9, notBefore: 0 }), 0);
  t.equal(startOf({}, { failures: 1, notBefore: 0 }, 0), 0, 'nobody needs it');
  t.equal(startOf({ waiting: 1 }, { failures: 1, notBefore: 0 }, 0), 1);
  t.equal(
    startOf({}, { failures: 1, notBefore: now + 60 * MINUTE }),
    1,
    'the clock has been set back: no rest is so long',
  );
});

t.test(
  'while a greedy user takes one after the other, one is started at a time, with a rest, but for others all',
  async (t) => {
    t.equal(churnStartOf({}, 0, now), 1);
    t.equal(churnStartOf({ starting: 1 }, 0, now), 0);
    t.equal(churnStartOf({ waiting: 20 }, 0, now + 1), 0, 'the last start took as long');
    t.equal(churnStartOf({ waiting: 20 }, 3, now + 1), 3);
    t.equal(churnStartOf({ waiting: 20, starting: 1 }, 3, now + 1), 2);
    t.equal(churnStartOf({ waiting: 20 }, 10, now + 1), 4, 'maxStarting');
  },
);

t.test('on one host queues come before warm pools, and the pool with the fewest before the others', async (t) => {
  t.same(startsOf(1, poolWith({}), poolWith({ waiting: 1 })), [0, 1]);
  t.same(startsOf(3, poolWith({ warm: 8 }), poolWith({ warm: 5 })), [1, 2], 'warm pools by what is missing');
  t.same(startsOf(1, poolWith({ waiting: 60, leased: 30 }), poolWith({ waiting: 1 })), [0, 1]);
  t.same(startsOf(1, poolWith({ waiting: 1, leased: 30 }), poolWith({ waiting: 60, leased: 31 })), [1, 0]);
  t.same(startsOf(4, poolWith({ waiting: 60 }), poolWith({ waiting: 60 })), [2, 2]);
  t.same(startsOf(5, poolWith({ waiting: 60 }), poolWith({ waiting: 1 })), [4, 1]);
  t.same(startsOf(100, poolWith({ waiting: 60 }), poolWith({ waiting: 1 })), [4, 4]);
});

t.test(
  'where there is no room for a queue, idle ones of the fullest pool are stopped, as many as are needed',
  async (t) => {
    const full = poolWith({ warm: 10 });
    t.same(stopsOf(0, full, poolWith({ waiting: 3 })), [3, 0]);
    t.same(stopsOf(1, full, poolWith({ waiting: 3 })), [2, 0]);
    t.same(stopsOf(3, full, poolWith({ waiting: 3 })), [0, 0]);
    t.same(stopsOf(0, full, poolWith({ waiting: 3, draining: 2 })), [1, 0], 'two are going already');
    t.same(stopsOf(0, full, poolWith({ waiting: 30 })), [4, 0], 'no more than may start');
    t.same(stopsOf(0, full, poolWith({ waiting: 1 }), poolWith({ warm: 8 })), [1, 0, 0]);
    t.same(stopsOf(0, full, poolWith({})), [0, 0], 'not for a warm pool');
    t.same(stopsOf(0, poolWith({ leased: 10 }), poolWith({ waiting: 1 })), [0, 0], 'not what is in use');
    const inBackoff: StartHealth = { failures: 3, notBefore: now + SECOND };
    t.same(stopsOf(0, full, poolWith({ waiting: 3 }, { health: inBackoff })), [0, 0], 'not for an image in backoff');
  },
);

function randomState(random: () => number): State {
  const upTo = (most: number): number => Math.floor(random() * (most + 1));
  const min = upTo(20);
  const state: State = {
    counts: { starting: upTo(6), warm: upTo(60), waiting: 0, leased: upTo(80), draining: upTo(5) },
    demand: [],
    limits: {
      min,
      max: min + upTo(60),
      maxStarting: 1 + upTo(7),
      maxStartingAhead: 1 + upTo(3),
      idleMs: (1 + upTo(20)) * MINUTE,
    },
    health: random() < 0.7 ? healthy : { failures: 1 + upTo(12), notBefore: now + upTo(120_000) - 60_000 },
  };
  if (random() < 0.4) state.counts.warm = 0;
  if (random() < 0.5) state.counts.waiting = upTo(100);
  for (let at = now - 30 * MINUTE; at < now + MINUTE; at += DEMAND_PERIOD_MS + upTo(2 * MINUTE)) {
    state.demand.push({ at, leases: upTo(30) });
  }
  return state;
}

function frozen<T extends object>(value: T): T {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) frozen(inner as object);
  return Object.freeze(value);
}

/** What is wrong with a plan, for any state. */
function wrongOf({ counts, limits, health }: State, { start, stop, target }: PoolPlan): string[] {
  const { starting, warm, waiting } = counts;
  const isFailing = health.failures > 0;
  const spare = warm + starting - waiting;
  const wrong: [boolean, string][] = [
    [!Number.isInteger(start) || start < 0, 'start is no count'],
    [!Number.isInteger(stop) || stop < 0, 'stop is no count'],
    [target < limits.min || target > limits.max, 'the target is not between min and max'],
    [start > 0 && stop > 0, 'starts and stops'],
    [stop > Math.max(0, warm - waiting), 'stops what callers wait for'],
    [start > 0 && starting + start > (isFailing ? 1 : limits.maxStarting), 'starts too many at once'],
    [start > 0 && spare + start > target, 'starts more than the queue and the target need'],
    [isFailing && start > 0 && health.notBefore > now, 'starts an image that rests'],
  ];
  return wrong.filter(([is]) => is).map(([, what]) => what);
}

/** The counts when a plan has been carried out and nothing else has happened. */
function after(state: State, { start, stop }: PoolPlan): State {
  const { counts } = state;
  const { starting, warm, draining } = counts;
  return {
    ...state,
    counts: { ...counts, starting: starting + start, warm: warm - stop, draining: draining + stop },
  };
}

t.test('holds for any pool', async (t) => {
  const random = randomFrom(1);
  const bad: object[] = [];
  for (let i = 0; i < 5_000; i++) {
    const state = frozen(randomState(random));
    const room = Math.floor(random() ** 2 * 40);
    const plan = planOf(state, room);
    const wrong = wrongOf(state, plan);
    const { starting, warm, waiting } = state.counts;
    if (plan.start > room) wrong.push('starts more than there is room for');
    const { maxStarting, maxStartingAhead } = state.limits;
    const atOnce = waiting > warm + starting ? maxStarting : Math.min(maxStarting, maxStartingAhead);
    const canStart = room > 0 && state.health.failures === 0 && starting < atOnce;
    if (canStart && warm + starting - waiting < plan.target && plan.start === 0)
      wrong.push('does not start what is missing');
    if (warm - waiting > plan.target && plan.stop !== warm - waiting - plan.target) wrong.push('keeps a surplus');
    const next = planOf(after(state, plan), room - plan.start);
    if (next.start + next.stop > 0) wrong.push('a second plan wants more');
    if (!isDeepStrictEqual(planOf(state, room), plan)) wrong.push('the same state, another plan');
    bad.push(...wrong.map((what) => ({ what, state, room, plan })));
  }
  t.same(bad.slice(0, 1), []);
});

t.test('holds for any box', async (t) => {
  const random = randomFrom(2);
  const bad: object[] = [];
  for (let i = 0; i < 5_000; i++) {
    const pools = frozen(Array.from({ length: 1 + Math.floor(random() * 4) }, () => randomState(random)));
    const room = Math.floor(random() ** 3 * 60);
    const plans = planPools({ pools, room, now });
    const wrong = plans.flatMap((plan, index) => wrongOf(pools[index] as State, plan));
    const alone = pools.map((pool) => planPool({ ...pool, room: Infinity, now }));
    const starts = plans.reduce((sum, { start }) => sum + start, 0);
    const wanted = alone.reduce((sum, { start }) => sum + start, 0);
    if (starts !== Math.min(room, wanted)) wrong.push('does not use the room that there is, or uses more');
    const unserved = pools.map(({ counts }, index) => {
      const inLine = Math.max(0, counts.waiting - counts.warm - counts.starting);
      return Math.min(inLine, alone[index]?.start ?? 0) - (plans[index]?.start ?? 0);
    });
    const isUnserved = unserved.some((count) => count > 0);
    if (isUnserved && unserved.some((count) => count < 0)) wrong.push('fills a pool while a caller waits');
    const extra = plans.reduce((sum, { stop }, index) => sum + stop - (alone[index]?.stop ?? 0), 0);
    if (!isUnserved && extra !== 0) wrong.push('stops sandboxes although nobody needs their room');
    if (extra < 0 || extra > unserved.reduce((sum, count) => sum + Math.max(0, count), 0))
      wrong.push('makes too much room');
    const next = planPools({
      pools: pools.map((pool, i) => after(pool, plans[i] as PoolPlan)),
      room: room - starts,
      now,
    });
    if (next.some(({ start, stop }) => start + stop > 0)) wrong.push('a second plan wants more');
    if (!isDeepStrictEqual(planPools({ pools, room, now }), plans)) wrong.push('the same state, another plan');
    bad.push(...wrong.map((what) => ({ what, pools, room, plans })));
  }
  t.same(bad.slice(0, 1), []);
});

t.test('expects to wait for as many rounds of starts as there are before one', async (t) => {
  t.same(
    [1, 4, 5, 8, 9, 100].map((position) => waitOf(position)),
    [500, 500, 1_000, 1_000, 1_500, 12_500],
  );
  t.equal(waitOf(3, 1), 1_500);
  t.equal(waitOf(0), 500, 'nobody is before the next');
  t.equal(waitOf(2, 0), 1_000);
});

t.test('where there is no room, it is the others’ leaving that one waits for', async (t) => {
  const full = { starting: 2, maxStarting: 4, startMs: 500, releaseMs: 3_000 };
  t.equal(expectedWaitMs({ ...full, position: 2, room: 0 }), 500, 'one is on its way');
  t.equal(expectedWaitMs({ ...full, position: 3, room: 0 }), 4_000);
  t.equal(expectedWaitMs({ ...full, position: 5, room: 0 }), 10_000);
  t.equal(expectedWaitMs({ ...full, position: 5, room: 3 }), 1_000);
});

t.test('backoff grows from half a second to a minute, doubling each time, less up to a quarter', async (t) => {
  t.same(
    [0, 1, 2, 3, 7, 8, 9, 1_000].map((failures) => startBackoffMs(failures, 1)),
    [0, 500, 1_000, 2_000, 32_000, 60_000, 60_000, 60_000],
  );
  t.equal(startBackoffMs(1, 0), 375);
  t.equal(startBackoffMs(1, 0.5), 437.5);
  t.equal(startBackoffMs(1_000_000, 0), 45_000);
  t.equal(startBackoffMs(0, 1), 0);
  t.equal(startBackoffMs(-1, 1), 0);
});

t.test('leases count into the period that is open, and the next one opens a new period', async (t) => {
  const demand: DemandPeriod[] = [];
  for (const at of [0, 1, DEMAND_PERIOD_MS - 1, DEMAND_PERIOD_MS, 60_000]) noteDemand(demand, now + at, limits.idleMs);
  t.same(demand, [
    { at: now, leases: 3 },
    { at: now + DEMAND_PERIOD_MS, leases: 1 },
    { at: now + 60_000, leases: 1 },
  ]);
  noteDemand(demand, now + limits.idleMs, limits.idleMs);
  t.equal(demand.length, 4, 'exactly idleMs ago is not forgotten');
  noteDemand(demand, now + limits.idleMs + DEMAND_PERIOD_MS, limits.idleMs);
  t.same(
    demand.map(({ at }) => at - now),
    [DEMAND_PERIOD_MS, 60_000, limits.idleMs, limits.idleMs + DEMAND_PERIOD_MS],
  );
});

t.test('demand stays in order and bounded, also when the clock is set back', async (t) => {
  const demand: DemandPeriod[] = [{ at: now - MINUTE, leases: 7 }];
  noteDemand(demand, now, limits.idleMs);
  noteDemand(demand, now - 3 * SECOND, limits.idleMs);
  t.same(demand.at(-1), { at: now, leases: 2 }, 'a few seconds do not matter');
  noteDemand(demand, now - 30 * SECOND, limits.idleMs);
  t.same(demand, [
    { at: now - MINUTE, leases: 7 },
    { at: now - 30 * SECOND, leases: 1 },
  ]);
  const random = randomFrom(3);
  const bad: object[] = [];
  const most = limits.idleMs / DEMAND_PERIOD_MS + 2;
  for (let i = 0, at = now; i < 20_000; i++) {
    at += Math.round(random() < 0.01 ? (random() - 0.5) * 60 * MINUTE : random() * 10 * SECOND);
    noteDemand(demand, at, limits.idleMs);
    const isInOrder = demand.every((period, index) => index === 0 || period.at > (demand[index - 1]?.at ?? 0));
    if (!isInOrder || demand.length > most) bad.push([...demand]);
  }
  t.same(bad.slice(0, 1), [], 'in order, and no more than idleMs has');
});
