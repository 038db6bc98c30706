/** The store suite: budgets and use by day. */
import { randomUUID } from 'node:crypto';
import type { Test } from 'tap';
import { dayOf, dayStart, monthOf, monthStart } from '../../../../src/shared/utc-period.js';
import type { BudgetCounter, Ledger, Reserved, UsageCounts, UsageRow } from '../../../../workers/agent/store/ledger.js';
import { until, type Backend } from './store-backend.js';

const LEASE_MS = 60_000;
const CALL = { tokens: 100, nanos: 1_000 };
const counts = (n: number): UsageCounts => [n, n * 2, 0, 0, n * 10, 1, 0];

function counterOf(limit: Partial<BudgetCounter> = {}): BudgetCounter {
  return { id: `user-${randomUUID()}`, per: 'day', tokens: 1_000, ...limit };
}

function reserve(
  ledger: Ledger,
  counters: BudgetCounter[],
  { id = randomUUID(), estimate = CALL, leaseMs = LEASE_MS } = {},
): Promise<Reserved> {
  return ledger.reserve({ id, estimate, counters, leaseMs });
}

function placesOf(reserved: Reserved): string[] {
  if (reserved.state !== 'reserved') throw new Error(`it is ${reserved.state}`);
  return reserved.places;
}

async function rowsOf(ledger: Ledger, day: number, of: Parameters<Ledger['readUsage']>[1]): Promise<UsageRow[]> {
  const rows: UsageRow[] = [];
  await ledger.readUsage(day, of, (row) => void rows.push(row));
  return rows.sort((a, b) => (a.name + a.model < b.name + b.model ? -1 : 1));
}

export function ledgerSuite(t: Test, backend: Backend): void {
  t.test('what a user has used is forgotten on all days; the sums of groups and of all stay', async (t) => {
    const { ledger } = await backend.open(t);
    const [user, other, group] = [`user {*} ${randomUUID()}`, `other ${randomUUID()}`, `group ${randomUUID()}`];
    const today = dayOf(Date.now());
    for (const day of [today - 700, today]) {
      const entries = [user, other].map((name) => ({ user: name, groups: [group], model: 'm', counts: counts(1) }));
      await ledger.addUsage({ id: randomUUID(), day, entries, keepDays: 3_000 });
    }
    await ledger.forgetUser(user, { from: today - 3_001, to: today + 1 });
    await ledger.forgetUser(user, { from: today - 3_001, to: today + 1 });
    for (const day of [today - 700, today]) {
      t.same(await rowsOf(ledger, day, { kind: 'user', name: user }), []);
      t.equal((await rowsOf(ledger, day, { kind: 'user', name: other })).length, 1);
      t.match(await rowsOf(ledger, day, { kind: 'group', name: group }), [{ counts: [2, 4, 0, 0, 20, 2, 0] }]);
      t.notOk((await rowsOf(ledger, day, { kind: 'user' })).some(({ name }) => name === user));
    }
  });

  t.test(
    'what is reserved holds others back, what is settled is counted, and no more is given than there is',
    async (t) => {
      const ledgers = [(await backend.open(t)).ledger, (await backend.open(t)).ledger];
      const counter = counterOf();
      const asked = await Promise.all(
        Array.from({ length: 40 }, async (_, index) => {
          const id = randomUUID();
          return { id, reserved: await reserve(ledgers[index % 2]!, [counter], { id }) };
        }),
      );
      const given = asked.filter(({ reserved }) => reserved.state === 'reserved');
      t.equal(given.length, 10);
      t.ok(asked.every(({ reserved }) => reserved.state !== 'spent'));
      for (const { id, reserved } of given) {
        const used = { tokens: 50, nanos: 1 };
        await ledgers[1]!.settle({ id, used, counters: [counter], places: placesOf(reserved) });
      }
      t.match(await ledgers[0]!.levels([counter]), [{ tokens: 500, nanos: 10 }]);
      t.equal((await reserve(ledgers[0]!, [counter], { estimate: { tokens: 500, nanos: 0 } })).state, 'reserved');
      t.equal((await reserve(ledgers[0]!, [counter])).state, 'held');
    },
  );

  t.test('the last call runs though it may use more than is left, alone, and then nothing is left', async (t) => {
    const { ledger } = await backend.open(t);
    for (const limit of [{ tokens: 150 }, { tokens: undefined, nanos: 1_500 }]) {
      const counter = counterOf(limit as Partial<BudgetCounter>);
      const id = randomUUID();
      const estimate = { tokens: 10_000, nanos: 10_000 };
      const places = placesOf(await reserve(ledger, [counter], { id, estimate }));
      t.match(await reserve(ledger, [counter]), { state: 'held', at: 0, level: { tokens: 0 } });
      const used = { tokens: 160, nanos: 1_600 };
      const [level] = await ledger.settle({ id, used, counters: [counter], places });
      t.match(level, { ...used, crossed: true });
      t.match(await reserve(ledger, [counter]), { state: 'spent', at: 0, level: used });
    }
  });

  t.test('a call reserves from all its budgets or from none', async (t) => {
    const { ledger } = await backend.open(t);
    const [own, shared] = [counterOf(), counterOf({ per: 'month', tokens: 100 })];
    placesOf(await reserve(ledger, [counterOf(), shared]));
    t.match(await reserve(ledger, [own, shared]), { state: 'held', at: 1 });
    const all = { id: randomUUID(), estimate: { tokens: 1_000, nanos: 0 } };
    placesOf(await reserve(ledger, [own], all));
  });

  t.test('a step that is sent again counts once', async (t) => {
    const { ledger } = await backend.open(t);
    const counter = counterOf({ tokens: 125 });
    const id = randomUUID();
    const places = placesOf(await reserve(ledger, [counter], { id }));
    t.same(await reserve(ledger, [counter], { id }), { state: 'reserved', places });
    const settlement = { id, used: CALL, counters: [counter], places };
    const levels = await ledger.settle(settlement);
    t.match(levels, [{ ...CALL, crossed: true }]);
    t.same(await ledger.settle(settlement), levels);
    t.match(await ledger.levels([counter]), [CALL]);
  });

  t.test('people are told once a period that 80 % are used', async (t) => {
    const { ledger } = await backend.open(t);
    const counter = counterOf({ tokens: 500 });
    const crossed: boolean[] = [];
    for (let i = 0; i < 5; i++) {
      const id = randomUUID();
      const places = placesOf(await reserve(ledger, [counter], { id }));
      crossed.push((await ledger.settle({ id, used: CALL, counters: [counter], places }))[0]!.crossed);
    }
    t.same(crossed, [false, false, false, true, false]);
  });

  t.test('what a dead process has reserved ends with its lease; one that is renewed stays', async (t) => {
    const { ledger } = await backend.open(t);
    const counter = counterOf({ tokens: 200 });
    const [dead, alive] = [randomUUID(), randomUUID()];
    const places = placesOf(await reserve(ledger, [counter], { id: dead, leaseMs: 30 }));
    placesOf(await reserve(ledger, [counter], { id: alive, leaseMs: 30 }));
    await ledger.renew([alive, 'none'], LEASE_MS);
    await until(async () => (await reserve(ledger, [counter])).state === 'reserved');
    t.equal((await reserve(ledger, [counter])).state, 'held', 'the renewed one and the new one');
    const [level] = await ledger.settle({ id: dead, used: CALL, counters: [counter], places });
    t.match(level, CALL, 'what it used is counted though its lease has ended');
  });

  t.test('turns and sessions have no end, days and months end at midnight UTC', async (t) => {
    const { ledger } = await backend.open(t);
    const pers = ['turn', 'session', 'day', 'month'] as const;
    const [turn, session, day, month] = await ledger.levels(pers.map((per) => counterOf({ per })));
    const now = Date.now();
    t.same(
      [turn, session],
      [
        { tokens: 0, nanos: 0 },
        { tokens: 0, nanos: 0 },
      ],
    );
    t.ok([dayStart(dayOf(now) + 1), dayStart(dayOf(now))].includes(day!.endsAt!));
    t.ok([monthStart(monthOf(now) + 1), monthStart(monthOf(now))].includes(month!.endsAt!));
  });

  t.test(
    'use is summed by user, group and all, by day and model; a batch that is sent again counts once',
    async (t) => {
      const [store, other] = [await backend.open(t), await backend.open(t)];
      const day = dayOf(Date.now()) - Math.floor(Math.random() * 30);
      const [ada, bob, group] = ['a"d\0a', '__proto__', 'g=;,'].map((name) => name + randomUUID()) as [
        string,
        string,
        string,
      ];
      const model = `m=;,/${randomUUID()}`;
      const batch = {
        id: randomUUID(),
        day,
        keepDays: 100,
        entries: [
          { user: ada, groups: [group, group], model, counts: counts(1) },
          { user: ada, groups: [group], model: '__proto__', counts: counts(2) },
          { user: bob, groups: [], model, counts: counts(3) },
        ],
      };
      await store.ledger.addUsage(batch);
      await other.ledger.addUsage(batch);
      await other.ledger.addUsage({
        ...batch,
        id: randomUUID(),
        entries: [{ user: ada, groups: [], model, counts: counts(4) }],
      });
      t.same(await rowsOf(store.ledger, day, { kind: 'user', name: ada }), [
        { name: ada, model: '__proto__', counts: counts(2) },
        { name: ada, model, counts: [5, 10, 0, 0, 50, 2, 0] },
      ]);
      const users = (await rowsOf(store.ledger, day, { kind: 'user' })).filter(
        ({ name }) => name === ada || name === bob,
      );
      t.equal(users.length, 3);
      t.same(await rowsOf(store.ledger, day, { kind: 'group', name: group }), [
        { name: group, model: '__proto__', counts: counts(2) },
        { name: group, model, counts: counts(1) },
      ]);
      const all = await rowsOf(store.ledger, day, { kind: 'all' });
      t.match(
        all.find((row) => row.model === model),
        { name: '', counts: [8, 16, 0, 0, 80, 3, 0] },
      );
      t.same(await rowsOf(store.ledger, day - 1_000, { kind: 'user', name: ada }), []);
    },
  );

  t.test('many users of a day are read page by page, each once; many names of one user are bounded', async (t) => {
    const { ledger } = await backend.open(t);
    const day = dayOf(Date.now()) + 500;
    const prefix = randomUUID();
    const entries = Array.from({ length: 1_203 }, (_, index) => ({
      user: `${prefix}-${index}`,
      groups: [],
      model: 'm',
      counts: counts(index),
    }));
    await ledger.addUsage({ id: randomUUID(), day, keepDays: 1_000, entries });
    const rows = await rowsOf(ledger, day, { kind: 'user' });
    const names = rows.map(({ name }) => name).filter((name) => name.startsWith(prefix));
    t.equal(names.length, 1_203);
    t.equal(new Set(names).size, 1_203);
    const tools = Array.from({ length: 150 }, (_, index) => ({
      ...entries[0]!,
      user: prefix,
      model: `m${index}`,
      counts: counts(1),
    }));
    await ledger.addUsage({ id: randomUUID(), day, keepDays: 1_000, entries: tools });
    const own = await rowsOf(ledger, day, { kind: 'user', name: prefix });
    t.equal(own.length, 101);
    t.same(own.find(({ model }) => model === '*')?.counts, [50, 100, 0, 0, 500, 50, 0]);
  });
}
