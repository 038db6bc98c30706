import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { dayOf } from '../../../../src/shared/utc-period.js';
import type { BudgetCounter, Ledger } from '../../../../workers/agent/store/ledger.js';
import { openLmdbStore } from '../../../../workers/agent/store/lmdb-store.js';
import { openTables } from '../../../../workers/agent/store/lmdb-tables.js';
import { LIMITS, OWNER } from './store-backend.js';

const CALL = { tokens: 100, nanos: 0 };
const DAY_MS = 86_400_000;

async function ledgerAt(t: Test, start: string) {
  const dir = await mkdtemp(join(tmpdir(), 'fl-ledger-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const clock = { now: Date.parse(start) };
  const store = await openLmdbStore(dir, { owner: OWNER, limits: LIMITS, now: () => clock.now });
  t.teardown(() => store.close());
  return { dir, clock, ledger: store.ledger };
}

async function use(ledger: Ledger, counters: BudgetCounter[], leaseMs = 60_000): Promise<string> {
  const id = randomUUID();
  const reserved = await ledger.reserve({ id, estimate: CALL, counters, leaseMs });
  if (reserved.state !== 'reserved') return reserved.state;
  const levels = await ledger.settle({ id, used: CALL, counters, places: reserved.places });
  return levels.map(({ tokens }) => tokens).join(' ');
}

t.test('a day and a month begin anew at midnight UTC, and people are told again', async (t) => {
  const { clock, ledger } = await ledgerAt(t, '2028-02-29T23:59:59.999Z');
  const counters = [
    { id: 'a', per: 'day', tokens: 100 },
    { id: 'a', per: 'month', tokens: 250 },
  ] as const;
  const [day, month] = await ledger.levels(counters);
  t.equal(day!.endsAt, Date.parse('2028-03-01'));
  t.equal(month!.endsAt, Date.parse('2028-03-01'));
  t.equal(await use(ledger, [...counters]), '100 100');
  t.equal(await use(ledger, [...counters]), 'spent');
  clock.now += 1;
  t.equal(await use(ledger, [...counters]), '100 100');
  clock.now += DAY_MS;
  t.equal(await use(ledger, [...counters]), '100 200');
  clock.now += DAY_MS;
  t.equal(await use(ledger, [...counters]), '100 300');
  clock.now += DAY_MS;
  t.equal(await use(ledger, [...counters]), 'spent', 'the month is used up');
  clock.now = Date.parse('2028-04-01');
  t.equal(await use(ledger, [...counters]), '100 100');
});

t.test('what begins before midnight counts to the day on which it began', async (t) => {
  const { clock, ledger } = await ledgerAt(t, '2026-12-31T23:59:59.000Z');
  const counter = { id: 'a', per: 'month', tokens: 150 } as const;
  const id = randomUUID();
  const reserved = await ledger.reserve({ id, estimate: CALL, counters: [counter], leaseMs: 60_000 });
  clock.now += 2_000;
  t.match(await ledger.levels([counter]), [{ tokens: 0 }]);
  if (reserved.state !== 'reserved') return t.fail(reserved.state);
  await ledger.settle({ id, used: CALL, counters: [counter], places: reserved.places });
  t.match(await ledger.levels([counter]), [{ tokens: 0 }]);
  clock.now -= 2_000;
  t.match(await ledger.levels([counter]), [CALL], 'also for a clock that jumps back over midnight');
  return undefined;
});

t.test('a clock that jumps for a while forgets nothing, and holds nothing for longer than a lease', async (t) => {
  const { clock, ledger } = await ledgerAt(t, '2026-06-15T12:00:00Z');
  const counter = { id: 'a', per: 'day', tokens: 150 } as const;
  t.equal(await use(ledger, [counter]), '100');
  clock.now += DAY_MS;
  const month = { id: 'a', per: 'month', tokens: 150 } as const;
  const reservation = { id: randomUUID(), estimate: CALL, counters: [counter, month], leaseMs: 60_000 };
  t.equal((await ledger.reserve(reservation)).state, 'reserved');
  clock.now -= DAY_MS;
  t.equal(await use(ledger, [month]), 'held');
  clock.now += 121_000;
  t.equal(await use(ledger, [month]), '100', 'not a day later');
  t.equal(await use(ledger, [counter]), '200', 'what was used before the jump still counts');
  t.equal(await use(ledger, [counter]), 'spent');
});

t.test('what has ended is removed, a few at each step', async (t) => {
  const { dir, clock, ledger } = await ledgerAt(t, '2026-06-15T12:00:00Z');
  const raw = openTables(dir);
  t.teardown(() => raw.root.close());
  const count = (): number => {
    raw.root.resetReadTxn();
    return raw.budgets.getKeysCount() + raw.usage.getKeysCount();
  };
  for (let i = 0; i < 30; i++) await use(ledger, [{ id: `u${i}`, per: 'turn', tokens: 1_000 }]);
  const entries = [{ user: 'a', groups: [], model: 'm', counts: [1, 0, 0, 0, 0, 1, 0] }] as const;
  const batch = {
    day: dayOf(clock.now),
    keepDays: 10,
    entries: [{ ...entries[0], counts: [...entries[0].counts] as never }],
  };
  await ledger.addUsage({ ...batch, id: randomUUID() });
  t.ok(count() > 100);
  clock.now += 400 * DAY_MS;
  for (let i = 0; i < 10; i++) await use(ledger, [{ id: 'last', per: 'turn', tokens: 10_000 }]);
  await ledger.addUsage({ ...batch, day: dayOf(clock.now), id: randomUUID() });
  t.ok(count() < 30, `${count()} keys`);
});
