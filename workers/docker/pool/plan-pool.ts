/** Decides what the warm pools start and stop: pure functions of counts, demand, limits and time. Docker thread. */
import { backoffMs } from '../../../src/shared/backoff.js';

export interface PoolCounts {
  starting: number;
  warm: number;
  /** Leases in the queue. */
  waiting: number;
  leased: number;
  draining: number;
}

/** Leases requested in one period of DEMAND_PERIOD_MS from `at` on (ms, on the clock of `now`). Lists hold the oldest first. */
export interface DemandPeriod {
  at: number;
  leases: number;
}

export const DEMAND_PERIOD_MS = 10_000;

export interface PoolLimits {
  /** Warm sandboxes, whatever the demand. */
  min: number;
  /** Most warm and starting sandboxes, beyond those for the queue. */
  max: number;
  maxStarting: number;
  /** As `maxStarting`, where nobody waits: a start takes processor time from those who work. */
  maxStartingAhead: number;
  /** How long demand counts. */
  idleMs: number;
}

export interface StartHealth {
  /** Failed starts in a row. */
  failures: number;
  /** Backoff: no start before this time, ms on the clock of `now`. 0 = no backoff. */
  notBefore: number;
}

/** A user takes one sandbox after the other, and others are there: they must not notice the starts. */
export interface Churn {
  /** Of the waiters, those who are not greedy: sandboxes are started for them as ever. */
  modest: number;
  /** Starts for the others. */
  atOnce: number;
  /** No start for the others before this time, ms on the clock of `now`. */
  notBefore: number;
}

export interface PoolPlan {
  start: number;
  /** Warm sandboxes to stop, oldest first. */
  stop: number;
  target: number;
}

interface PoolState {
  counts: PoolCounts;
  demand: readonly DemandPeriod[];
  limits: PoolLimits;
  health: StartHealth;
  churn?: Churn | undefined;
}

const MIN_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 60_000;

/** `room`: how many more containers the host's budget allows. */
export function planPool(input: PoolState & { room: number; now: number }): PoolPlan {
  const { counts, limits, health, now } = input;
  const target = demandTarget(input);
  const spare = counts.warm + counts.starting - counts.waiting;
  const missing = Math.max(0, target - spare);
  const allowed = Math.min(startsAllowed(counts, limits, health, now), startsInChurn(input));
  const start = Math.max(0, Math.min(missing, allowed, input.room, usefulStarts(counts, limits)));
  const stop = Math.max(0, Math.min(counts.warm, counts.warm - counts.waiting - target));
  return { start, stop: start > 0 ? 0 : stop, target };
}

/**
 * The pools of one host share its budget. Queues come first, the pool with the fewest sandboxes before the others; then
 * pools fill up, the one that misses most first. A queue without room makes other pools stop idle sandboxes.
 */
export function planPools(input: { pools: readonly PoolState[]; room: number; now: number }): PoolPlan[] {
  const { pools, now } = input;
  const wanted = pools.map((pool) => planPool({ ...pool, room: Infinity, now }));
  const plans = wanted.map(({ stop, target }) => ({ start: 0, stop, target }));
  let room = Math.max(0, input.room);
  /** Gives starts one by one to the lowest rank. What is left of `want` had no room. */
  const share = (want: number[], rankOf: (index: number) => number): void => {
    for (; room >= 1; room--) {
      const wanting = [...want.keys()].filter((index) => (want[index] ?? 0) > 0);
      const [next = -1] = wanting.sort((a, b) => rankOf(a) - rankOf(b));
      const plan = plans[next];
      if (!plan) return;
      plan.start++;
      want[next] = (want[next] ?? 0) - 1;
    }
  };
  const queued = pools.map(({ counts }, index) =>
    Math.min(Math.max(0, counts.waiting - counts.warm - counts.starting), wanted[index]?.start ?? 0),
  );
  const held = pools.map(({ counts }) => counts.starting + counts.warm + counts.leased);
  // Room mostly comes one by one. If the longest queue got it, a short one would never be served.
  share(queued, (index) => (held[index] ?? 0) + (plans[index]?.start ?? 0));
  const missing = wanted.map(({ start }, index) => start - (plans[index]?.start ?? 0));
  share(missing, (index) => -(missing[index] ?? 0));
  makeRoom(pools, plans, queued);
  return plans;
}

function makeRoom(pools: readonly PoolState[], plans: PoolPlan[], unserved: readonly number[]): void {
  const going = pools.reduce((sum, { counts }, index) => sum + counts.draining + (plans[index]?.stop ?? 0), 0);
  let needed = unserved.reduce((sum, count) => sum + count, 0) - going;
  while (needed > 0) {
    const surplus = pools.map(({ counts }, index) => counts.warm - counts.waiting - (plans[index]?.stop ?? 0));
    const richest = surplus.indexOf(Math.max(...surplus));
    const plan = plans[richest];
    if (!plan || (surplus[richest] ?? 0) <= 0) return;
    plan.stop++;
    needed--;
  }
}

/** The most leases in two neighbouring periods, so that a burst across their border counts as one. */
function demandTarget({ demand, limits, now }: PoolState & { now: number }): number {
  let most = 0;
  for (const [index, period] of demand.entries()) {
    if (isForgotten(period, now, limits.idleMs)) continue;
    const before = demand[index - 1];
    const near = before && period.at - before.at < 2 * DEMAND_PERIOD_MS ? before.leases : 0;
    most = Math.max(most, period.leases + near);
  }
  return Math.min(limits.max, Math.max(limits.min, most));
}

/** Too old, or in the future since the clock was set back: such a period would count for too long. */
function isForgotten(period: DemandPeriod | undefined, now: number, idleMs: number): boolean {
  return period !== undefined && (now - period.at > idleMs || period.at - now >= DEMAND_PERIOD_MS);
}

/** As many as wait, or as may start ahead of demand. */
function usefulStarts({ waiting, warm, starting }: PoolCounts, { maxStartingAhead }: PoolLimits): number {
  return Math.max(waiting - warm - starting, maxStartingAhead - starting);
}

/** After a failure one start at a time, and none during the backoff. */
function startsAllowed(counts: PoolCounts, limits: PoolLimits, health: StartHealth, now: number): number {
  if (health.failures === 0) return limits.maxStarting - counts.starting;
  const waitMs = health.notBefore - now;
  // A wait beyond the longest backoff means that the clock was set back.
  const inBackoff = waitMs > 0 && waitMs <= MAX_BACKOFF_MS;
  if (inBackoff || (limits.min === 0 && counts.waiting === 0)) return 0;
  return 1 - counts.starting;
}

function startsInChurn({ counts, churn, now }: PoolState & { now: number }): number {
  if (!churn) return Infinity;
  return Math.max(churn.modest, churn.notBefore > now ? 0 : churn.atOnce) - counts.starting;
}

/**
 * ms until `position` (1 = next) in the queue is served: at the rate of finished starts while there is room for them, and
 * beyond that at the rate of releases.
 */
export function expectedWaitMs(input: {
  position: number;
  starting: number;
  maxStarting: number;
  startMs: number;
  /** How many more containers may be started. */
  room: number;
  /** Mean time between two releases on the host, lately. */
  releaseMs: number;
}): number {
  const { starting, maxStarting, startMs, room, releaseMs } = input;
  const position = Math.max(1, input.position);
  const beyond = Math.max(0, position - starting - room);
  return (
    Math.ceil((position - beyond) / Math.max(1, maxStarting)) * startMs +
    (beyond > 0 ? beyond * releaseMs + startMs : 0)
  );
}

/** How long no sandbox of an image is started after so many failures in a row. `random` is 0…1. */
export function startBackoffMs(failures: number, random: number): number {
  if (failures <= 0) return 0;
  // Half of the random range: jitter only shortens the wait, so that none is longer than MAX_BACKOFF_MS.
  return backoffMs(failures, { firstMs: MIN_BACKOFF_MS, maxMs: MAX_BACKOFF_MS }, random / 2);
}

/** Counts one lease into the newest period, and drops periods that no longer count. */
export function noteDemand(demand: DemandPeriod[], now: number, idleMs: number): void {
  while (isForgotten(demand[0], now, idleMs)) demand.shift();
  while (isForgotten(demand.at(-1), now, idleMs)) demand.pop();
  const newest = demand.at(-1);
  if (newest && now - newest.at < DEMAND_PERIOD_MS) newest.leases++;
  else demand.push({ at: now, leases: 1 });
}
