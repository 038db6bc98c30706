/** Budgets in the embedded store. Agent threads; called inside a transaction. */
import { dayOf, dayStart, monthOf, monthStart } from '../../../src/shared/utc-period.js';
import {
  isHeld,
  isNearEnd,
  isSpent,
  KEPT_AFTER_MS,
  MAX_LEASE_MS,
  REPEAT_MS,
  SESSION_MS,
  TURN_MS,
  type BudgetCounter,
  type Level,
  type Reservation,
  type Reserved,
  type SettledLevel,
  type Settlement,
  type Sum,
} from './ledger.js';
import { keyDigest, type LmdbTables } from './lmdb-tables.js';

/** Each step removes at most this many that have ended, so that none takes long. */
const MAX_REMOVED = 20;
/** An end in the future moves only by so much: most steps then leave the index alone. */
const MOVE_MS = 3_600_000;

interface StoredCounter {
  used: Sum;
  held: Sum;
  /** People were told that it is nearly used up. */
  told?: true;
  keptUntil: number;
}

interface StoredLease extends Sum {
  places: string[];
  end: number;
}

interface StoredSettlement {
  crossed: boolean[];
  keptUntil: number;
}

/** Keys: ['c', place] counters, ['l', id] leases, ['s', id] settlements; ['e', end, id] and ['x', keptUntil, kind, key] find what has ended. */
export type BudgetKey = (string | number)[];
export type BudgetValue = StoredCounter | StoredLease | StoredSettlement | 0;

type Tables = Pick<LmdbTables, 'budgets'>;

export function reserveIn(
  { budgets }: Tables,
  { id, estimate, counters, leaseMs }: Reservation,
  now: number,
): Reserved {
  endLeases({ budgets }, now);
  removeOld({ budgets }, now);
  const known = budgets.get(['l', id]) as StoredLease | undefined;
  if (known) return { state: 'reserved', places: known.places };
  const found = counters.map((counter) => {
    const period = periodOf(counter, now);
    const stored = counterAt({ budgets }, period.place);
    return { counter, period, used: stored?.used ?? NOTHING, held: stored?.held ?? NOTHING, stored };
  });
  const refused = (state: 'spent' | 'held', at: number): Reserved => {
    const { used, period } = found[at]!;
    return { state, at, level: levelOf(used, period) };
  };
  const spent = found.findIndex(({ used, counter }) => isSpent(used, counter));
  if (spent >= 0) return refused('spent', spent);
  const held = found.findIndex(({ used, held, counter }) => isHeld(used, held, estimate, counter));
  if (held >= 0) return refused('held', held);
  for (const { period, stored } of found) {
    change({ budgets }, period, stored, (counter) => ({ ...counter, held: plus(counter.held, estimate) }));
  }
  const places = found.map(({ period }) => period.place);
  const end = now + leaseMs;
  void budgets.put(['l', id], { ...estimate, places, end });
  void budgets.put(['e', end, id], 0);
  return { state: 'reserved', places };
}

export function settleIn({ budgets }: Tables, { id, used, counters, places }: Settlement, now: number): SettledLevel[] {
  const before = budgets.get(['s', id]) as StoredSettlement | undefined;
  const lease = budgets.get(['l', id]) as StoredLease | undefined;
  if (lease && !before) endLease({ budgets }, id, lease);
  const levels = counters.map((counter, index): SettledLevel => {
    const period = periodOf(counter, now, places[index]);
    const stored = counterAt({ budgets }, period.place);
    if (before) return { ...levelOf(stored?.used ?? NOTHING, period), crossed: before.crossed[index] === true };
    const sum = plus(stored?.used ?? NOTHING, used);
    const crossed = stored?.told !== true && isNearEnd(sum, counter);
    change({ budgets }, period, stored, (each) => ({ ...each, used: sum, ...(crossed ? { told: true } : {}) }));
    return { ...levelOf(sum, period), crossed };
  });
  if (!before) {
    const crossed = levels.map((level) => level.crossed);
    noteSettled({ budgets }, id, crossed, now);
  }
  return levels;
}

export function renewIn({ budgets }: Tables, ids: readonly string[], leaseMs: number, now: number): void {
  for (const id of ids) {
    const lease = budgets.get(['l', id]) as StoredLease | undefined;
    if (lease) moveLease({ budgets }, id, lease, now + leaseMs);
  }
}

export function levelsIn(tables: Tables, counters: readonly BudgetCounter[], now: number): Level[] {
  return counters.map((counter) => {
    const period = periodOf(counter, now);
    return levelOf(counterAt(tables, period.place)?.used ?? NOTHING, period);
  });
}

interface Period {
  place: string;
  endsAt?: number;
  keptUntil: number;
}

/** `place`: the one of an earlier moment. Its period may have ended since. */
function periodOf({ id, per }: BudgetCounter, now: number, place?: string): Period {
  switch (per) {
    case 'day':
      return ending(place ?? `${keyDigest(id)}d${dayOf(now)}`, dayStart(dayOf(now) + 1));
    case 'month':
      return ending(place ?? `${keyDigest(id)}m${monthOf(now)}`, monthStart(monthOf(now) + 1));
    case 'session':
      return { place: place ?? `${keyDigest(id)}s`, keptUntil: now + SESSION_MS };
    case 'turn':
      return { place: place ?? `${keyDigest(id)}t`, keptUntil: now + TURN_MS };
  }
}

function ending(place: string, endsAt: number): Period {
  return { place, endsAt, keptUntil: endsAt + KEPT_AFTER_MS };
}

const NOTHING: Sum = { tokens: 0, nanos: 0 };

function plus(a: Sum, b: Sum, times = 1): Sum {
  return { tokens: Math.max(0, a.tokens + times * b.tokens), nanos: Math.max(0, a.nanos + times * b.nanos) };
}

function levelOf(used: Sum, { endsAt }: Period): Level {
  return { ...used, ...(endsAt === undefined ? {} : { endsAt }) };
}

function counterAt({ budgets }: Tables, place: string): StoredCounter | undefined {
  return budgets.get(['c', place]) as StoredCounter | undefined;
}

function change(
  { budgets }: Tables,
  { place, keptUntil }: Period,
  stored: StoredCounter | undefined,
  how: (counter: StoredCounter) => StoredCounter,
): void {
  const old = stored ?? { used: NOTHING, held: NOTHING, keptUntil: 0 };
  const isKept = keptUntil < old.keptUntil + MOVE_MS && old.keptUntil < keptUntil + MOVE_MS;
  if (!isKept) {
    if (stored) void budgets.remove(['x', old.keptUntil, 'c', place]);
    void budgets.put(['x', keptUntil, 'c', place], 0);
  }
  void budgets.put(['c', place], how({ ...old, keptUntil: isKept ? old.keptUntil : keptUntil }));
}

function endLeases({ budgets }: Tables, now: number): void {
  const ended = Array.from(budgets.getKeys({ start: ['e'], end: ['e', now], limit: MAX_REMOVED }));
  for (const [, , id] of ended) {
    const lease = budgets.get(['l', String(id)]) as StoredLease | undefined;
    if (lease) endLease({ budgets }, String(id), lease);
  }
  const latest = now + MAX_LEASE_MS;
  const tooLate = Array.from(budgets.getKeys({ start: ['e', latest + 1], end: ['f'], limit: MAX_REMOVED }));
  for (const [, , id] of tooLate) {
    const lease = budgets.get(['l', String(id)]) as StoredLease | undefined;
    if (lease) moveLease({ budgets }, String(id), lease, latest);
  }
}

function endLease({ budgets }: Tables, id: string, lease: StoredLease): void {
  for (const place of lease.places) {
    const counter = counterAt({ budgets }, place);
    if (counter) void budgets.put(['c', place], { ...counter, held: plus(counter.held, lease, -1) });
  }
  void budgets.remove(['e', lease.end, id]);
  void budgets.remove(['l', id]);
}

function moveLease({ budgets }: Tables, id: string, lease: StoredLease, end: number): void {
  void budgets.remove(['e', lease.end, id]);
  void budgets.put(['e', end, id], 0);
  void budgets.put(['l', id], { ...lease, end });
}

/** False when there was a batch with this id. */
export function isNewBatch({ budgets }: Tables, id: string, now: number): boolean {
  removeOld({ budgets }, now);
  if (budgets.doesExist(['s', id])) return false;
  noteSettled({ budgets }, id, [], now);
  return true;
}

function noteSettled({ budgets }: Tables, id: string, crossed: boolean[], now: number): void {
  const keptUntil = now + REPEAT_MS;
  void budgets.put(['s', id], { crossed, keptUntil });
  void budgets.put(['x', keptUntil, 's', id], 0);
}

function removeOld({ budgets }: Tables, now: number): void {
  for (const key of Array.from(budgets.getKeys({ start: ['x'], end: ['x', now], limit: MAX_REMOVED }))) {
    void budgets.remove(key);
    void budgets.remove([String(key[2]), String(key[3])]);
  }
}
