import { randomUUID } from 'node:crypto';
import t from 'tap';
import { dayOf, dayStart, monthOf, monthStart } from '../../../../src/shared/utc-period.js';
import { LEASES_KEY, PERIODS } from '../../../../workers/agent/store/redis-budget-scripts.js';
import { newRedis, openStore, rawClient } from './redis-backend.js';

const CALL = { tokens: 100, nanos: 0 };

t.test('the script’s calendar is the one of UTC, leap years and ends of months too', async (t) => {
  const redis = await newRedis(t);
  const raw = await rawClient(t, redis.url);
  const lua = `${PERIODS}
    local reply = {}
    for _, at in ipairs(ARGV) do
      for _, per in ipairs({'day', 'month'}) do
        local place, _, ends = periodOf(tonumber(at), 'x', per)
        reply[#reply + 1] = place .. ' ' .. string.format('%.0f', ends)
      end
    end
    return reply`;
  const ends = Array.from({ length: 1_300 }, (_, index) => monthStart(monthOf(0) + index));
  const times = [...ends.flatMap((end) => [end - 1, end, end + 86_400_000 * 13 + 7]), Date.parse('2400-02-29T12:00Z')];
  for (let first = 0; first < times.length; first += 500) {
    const some = times.slice(first, first + 500);
    const found = (await raw.eval(lua, { arguments: some.map(String) })) as string[];
    const expected = some.flatMap((at) => [
      `xd${dayOf(at)} ${dayStart(dayOf(at) + 1)}`,
      `xm${monthOf(at)} ${monthStart(monthOf(at) + 1)}`,
    ]);
    t.same(found, expected);
  }
});

t.test('a lease that was set before the clock jumped back ends no later than any other', async (t) => {
  const redis = await newRedis(t);
  const raw = await rawClient(t, redis.url);
  const { ledger } = await openStore(t, redis.url);
  const counter = { id: 'ada', per: 'day', tokens: 150 } as const;
  const id = randomUUID();
  await ledger.reserve({ id, estimate: CALL, counters: [counter], leaseMs: 60_000 });
  await raw.zAdd(LEASES_KEY, { score: Date.now() + 365 * 86_400_000, value: id });
  t.match(await ledger.reserve({ id: randomUUID(), estimate: CALL, counters: [counter], leaseMs: 1 }), {
    state: 'held',
  });
  const end = await raw.zScore(LEASES_KEY, id);
  t.ok(end! <= Date.now() + 120_000, 'it ends within two minutes');
});

t.test('counters, reservations and use leave nothing behind for ever', async (t) => {
  const redis = await newRedis(t);
  const raw = await rawClient(t, redis.url);
  const { ledger } = await openStore(t, redis.url);
  const counters = (['turn', 'session', 'day', 'month'] as const).map((per) => ({ id: per, per, tokens: 1_000 }));
  const id = randomUUID();
  const reserved = await ledger.reserve({ id, estimate: CALL, counters, leaseMs: 60_000 });
  if (reserved.state !== 'reserved') return t.fail(reserved.state);
  await ledger.settle({ id, used: CALL, counters, places: reserved.places });
  await ledger.addUsage({
    id,
    day: dayOf(Date.now()),
    keepDays: 2,
    entries: [{ user: 'ada', groups: ['g'], model: 'm', counts: [1, 0, 0, 0, 0, 1, 0] }],
  });
  // A user's name goes with the sweep, 30 days after the last use.
  const keys = (await raw.keys('*')).filter((key) => key !== 'fairlead:users');
  t.equal(
    keys.length,
    4 + 1 + 4,
    'four counters, the mark of the settlement, three tables of the day and the mark of the batch',
  );
  for (const key of keys) t.ok((await raw.pTTL(key)) > 0, key);
  return undefined;
});
