/** Simulates days of a host's pools without Docker, timers or a clock: events in order, and the real planner. */
import {
  expectedWaitMs,
  noteDemand,
  planPools,
  startBackoffMs,
  type DemandPeriod,
  type PoolCounts,
  type PoolLimits,
  type PoolPlan,
  type StartHealth,
} from '../../../../workers/docker/pool/plan-pool.js';

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const EPOCH = Date.UTC(2025, 2, 3);
const PLAN_EVERY_MS = SECOND;
const MAX_IN_LINE = 100;

/** All times in ms from the day's begin. */
export interface PoolScript {
  limits: PoolLimits;
  /** Ascending. */
  arrivals: readonly number[];
  /** Means; what happens is between half and one and a half of it. */
  startMs?: number;
  leaseMs?: number;
  /** How long a caller stays in the queue. */
  patienceMs?: number;
  fails?: (at: number) => boolean;
}

export interface DayScript {
  pools: readonly PoolScript[];
  /** The budget of the host. */
  containers: number;
  seed: number;
  lengthMs?: number;
  /** What the wall clock says less what it should say. */
  clockErrorMs?: (at: number) => number;
}

export interface Served {
  at: number;
  waitedMs: number;
}

export interface PoolDay {
  /** Once a second, after planning; the index is the second. */
  samples: PoolCounts[];
  served: Served[];
  /** At once: the queue is full or too slow, or the image is in backoff. */
  refused: number[];
  /** From the queue: out of patience, or because of a failed start. */
  left: number[];
  starts: number[];
  stops: number[];
}

export interface Day {
  pools: PoolDay[];
  /** What must never be, as it was seen; the first few. */
  faults: string[];
}

/** mulberry32: 0 ≤ number < 1, the same row for the same seed. */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** People who know nothing of each other (Poisson). */
export function arrivalsBetween(seed: number, from: number, to: number, perHour: number): number[] {
  const random = randomFrom(seed);
  const arrivals: number[] = [];
  const gap = (): number => (-Math.log(1 - random()) * HOUR) / perHour;
  for (let at = from + gap(); at < to; at += gap()) arrivals.push(Math.round(at));
  return arrivals;
}

export function inOrder(...rows: readonly number[][]): number[] {
  return rows.flat().sort((a, b) => a - b);
}

interface Event {
  at: number;
  /** Of the same moment, the one that was planned first. */
  order: number;
  run: () => void;
}

/** A binary heap, soonest on top. */
class Agenda {
  readonly #heap: Event[] = [];
  #order = 0;

  add(at: number, run: () => void): void {
    const heap = this.#heap;
    let index = heap.push({ at, order: this.#order++, run }) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#swapIfSooner(index, parent)) break;
      index = parent;
    }
  }

  nextAt(): number {
    return this.#heap[0]?.at ?? Infinity;
  }

  take(): Event | undefined {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (!first || !last || first === last) return first;
    heap[0] = last;
    let index = 0;
    for (;;) {
      const [left, right] = [2 * index + 1, 2 * index + 2];
      const child = right < heap.length && this.#isSooner(right, left) ? right : left;
      if (child >= heap.length || !this.#swapIfSooner(child, index)) return first;
      index = child;
    }
  }

  #isSooner(a: number, b: number): boolean {
    const [one, other] = [this.#heap[a], this.#heap[b]];
    if (!one || !other) return false;
    return one.at < other.at || (one.at === other.at && one.order < other.order);
  }

  #swapIfSooner(child: number, parent: number): boolean {
    if (!this.#isSooner(child, parent)) return false;
    const [one, other] = [this.#heap[child], this.#heap[parent]];
    if (one && other) [this.#heap[child], this.#heap[parent]] = [other, one];
    return true;
  }
}

interface Clock {
  /** ms since the day's begin; never jumps. */
  at: number;
  wall: () => number;
  later: (ms: number, run: () => void) => void;
  random: () => number;
}

/** ContainerPool with numbers for containers: what it does at an arrival, at a start's end and with a plan. */
class SimulatedPool {
  readonly limits: PoolLimits;
  readonly demand: DemandPeriod[] = [];
  readonly day: PoolDay = { samples: [], served: [], refused: [], left: [], starts: [], stops: [] };
  readonly #script: Required<PoolScript>;
  readonly #clock: Clock;
  readonly #line: { since: number }[] = [];
  #health: StartHealth = { failures: 0, notBefore: 0 };
  #starting = 0;
  #warm = 0;
  #leased = 0;
  #draining = 0;
  #expectedStartMs = 1_000;

  constructor(script: PoolScript, clock: Clock) {
    const usual = { startMs: SECOND, leaseMs: 5 * MINUTE, patienceMs: MINUTE, fails: () => false };
    this.#script = { ...usual, ...script };
    this.limits = script.limits;
    this.#clock = clock;
  }

  get counts(): PoolCounts {
    return {
      starting: this.#starting,
      warm: this.#warm,
      waiting: this.#line.length,
      leased: this.#leased,
      draining: this.#draining,
    };
  }

  get health(): StartHealth {
    return this.#health;
  }

  get total(): number {
    return this.#starting + this.#warm + this.#leased + this.#draining;
  }

  arrive(): void {
    const { at, wall, later } = this.#clock;
    noteDemand(this.demand, wall(), this.limits.idleMs);
    if (this.#line.length === 0 && this.#warm > 0) return this.#lease(at);
    const { failures, notBefore } = this.#health;
    const { maxStarting } = this.limits;
    const position = this.#line.length + 1;
    const startMs = this.#expectedStartMs;
    const { patienceMs } = this.#script;
    const waitMs = expectedWaitMs({
      position,
      starting: this.#starting,
      maxStarting,
      startMs,
      room: Infinity,
      releaseMs: 0,
    });
    const inBackoff = failures > 0 && notBefore > wall() && this.#starting === 0;
    if (inBackoff || position > MAX_IN_LINE || waitMs > patienceMs) {
      this.day.refused.push(at);
      return;
    }
    const caller = { since: at };
    this.#line.push(caller);
    later(patienceMs, () => {
      const index = this.#line.indexOf(caller);
      if (index < 0) return;
      this.#line.splice(index, 1);
      this.day.left.push(this.#clock.at);
    });
  }

  apply({ start, stop }: PoolPlan): void {
    for (let i = 0; i < start; i++) this.#start();
    for (let i = 0; i < stop; i++) {
      this.day.stops.push(this.#clock.at);
      this.#warm--;
      this.#drain();
    }
  }

  #start(): void {
    const { at, later } = this.#clock;
    this.#starting++;
    this.day.starts.push(at);
    const tookMs = this.#about(this.#script.startMs);
    later(tookMs, () => {
      if (this.#script.fails(this.#clock.at)) return this.#failed();
      this.#starting--;
      this.#health = { failures: 0, notBefore: 0 };
      this.#expectedStartMs += (tookMs - this.#expectedStartMs) / 4;
      this.#warm++;
      const first = this.#line.shift();
      if (first) this.#lease(first.since);
    });
  }

  #failed(): void {
    const { at, wall, random } = this.#clock;
    const failures = this.#health.failures + 1;
    this.#health = { failures, notBefore: wall() + startBackoffMs(failures, random()) };
    if (this.#starting === 1) for (const _ of this.#line.splice(0)) this.day.left.push(at);
    this.#starting--;
  }

  #lease(since: number): void {
    const { at, later } = this.#clock;
    this.#warm--;
    this.#leased++;
    this.day.served.push({ at: since, waitedMs: at - since });
    later(this.#about(this.#script.leaseMs), () => {
      this.#leased--;
      this.#drain();
    });
  }

  #drain(): void {
    this.#draining++;
    this.#clock.later(this.#about(200), () => this.#draining--);
  }

  #about(ms: number): number {
    return Math.round(ms * (0.5 + this.#clock.random()));
  }
}

/** Plans every second and after every change, as SandboxManager does. */
export function simulateDay(script: DayScript): Day {
  const { containers, lengthMs = DAY, clockErrorMs = () => 0 } = script;
  const agenda = new Agenda();
  const clock: Clock = {
    at: 0,
    wall: () => EPOCH + clock.at + clockErrorMs(clock.at),
    later: (ms, run) => agenda.add(clock.at + ms, run),
    random: randomFrom(script.seed),
  };
  const pools = script.pools.map((pool) => new SimulatedPool(pool, clock));
  for (const [index, { arrivals }] of script.pools.entries()) {
    for (const at of arrivals) agenda.add(at, () => pools[index]?.arrive());
  }
  const faults: string[] = [];
  const note = (fault: string): void => {
    const { at } = clock;
    if (faults.length < 5)
      faults.push(`${(at / HOUR).toFixed(4)} h: ${fault} ${JSON.stringify(pools.map((p) => p.counts))}`);
  };
  const room = (): number => containers - pools.reduce((sum, { total }) => sum + total, 0);
  const plan = (): boolean => {
    const state = pools.map(({ counts, demand, limits, health }) => ({ counts, demand, limits, health }));
    const plans = planPools({ pools: state, room: Math.max(0, room()), now: clock.wall() });
    for (const [index, each] of plans.entries()) pools[index]?.apply(each);
    return plans.some(({ start, stop }) => start + stop > 0);
  };
  for (let tick = 0; tick <= lengthMs;) {
    clock.at = Math.min(tick, agenda.nextAt());
    while (agenda.nextAt() === clock.at) agenda.take()?.run();
    if (plan() && plan()) note('a second plan of the same moment wants something else');
    for (const [index, pool] of pools.entries()) {
      for (const fault of faultsOf(pool, room())) note(`pool ${index}: ${fault}`);
    }
    if (room() < 0) note('over the budget');
    if (clock.at < tick) continue;
    for (const { day, counts } of pools) day.samples.push(counts);
    tick += PLAN_EVERY_MS;
  }
  return { pools: pools.map(({ day }) => day), faults };
}

/** What must not be after a plan, whatever the day. */
function faultsOf({ counts, limits, health, day }: SimulatedPool, room: number): string[] {
  const { starting, warm, waiting } = counts;
  const { min, max, maxStarting } = limits;
  const faults: string[] = [];
  if (starting > maxStarting) faults.push('starts more than maxStarting');
  if (warm > 0 && waiting > 0) faults.push('someone waits and a sandbox too');
  if (warm > max) faults.push('more than max are warm');
  // Sandboxes started for callers that left the queue become warm and are stopped.
  const extra = day.left.length > 0 ? maxStarting : 0;
  if (warm + starting - waiting > max + extra) faults.push('more than max are warm or starting');
  const canStart = health.failures === 0 && room > 0 && starting < maxStarting;
  if (waiting > starting && canStart) faults.push('a caller waits while there is room');
  if (warm + starting - waiting < min && canStart) faults.push('fewer than min are warm or starting');
  return faults;
}
