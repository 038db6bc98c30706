import t from 'tap';
import { FairleadError } from '../../../../src/shared/errors.js';
import { deferred } from '../../../helpers/processes.js';
import { OF, startBench } from '../agent-bench.js';
import { callsTools, says, USAGE, type Script } from '../scripted-model.js';

/** One answer of the scripted model. */
const TOKENS = 18;
const PRICES = { currency: 'EUR', models: [{ model: '*', input: 1, output: 2 }] };
const AMOUNT = (10 + 5 * 2 + 2 + 1) / 1e6;

t.test('without budgets and prices nothing is reserved, and the end of a turn says nothing of money', async (t) => {
  const bench = await startBench(t);
  let asked = 0;
  const { ledger } = bench.store;
  const reserve = ledger.reserve.bind(ledger);
  ledger.reserve = (reservation) => (asked++, reserve(reservation));
  bench.model.next(says('hi'));
  await bench.say('hi');
  const end = await bench.turnEnd(1);
  t.notOk('cost' in end || 'budgets' in end);
  t.equal(asked, 0);
});

t.test('the end of a turn says its cost and what is left, over all its rounds and priced calls', async (t) => {
  const bench = await startBench(t, {
    prices: { ...PRICES, tools: [{ server: 'workspace', tool: 'echo', amount: 0.5 }] },
    budgets: [
      { of: 'user', per: 'day', amount: 2 },
      { of: 'turn', per: 'turn', tokens: 1_000_000 },
    ],
    approvals: { default: 'allow' },
  });
  bench.model.next(callsTools([{ id: 'c', name: 'echo', input: { text: 'a' } }]), says('done'));
  await bench.say('go');
  const end = await bench.turnEnd(1);
  t.same(end.cost, { amount: 0.5 + 2 * AMOUNT, currency: 'EUR' });
  t.match(end.budgets, [
    { of: 'user', per: 'day', name: 'user-1', amount: 1.5 - 2 * AMOUNT, currency: 'EUR', resetAt: Number },
    { of: 'turn', per: 'turn', tokens: 1_000_000 - 2 * TOKENS },
  ]);
});

t.test(
  'at 80 % the session is told once; at 100 % a turn ends with ERR_BUDGET, in words, and the next one is as valid',
  async (t) => {
    const bench = await startBench(t, { budgets: [{ of: 'user', per: 'day', tokens: 40 }] });
    bench.model.next(says('one'), says('two'), says('three'));
    for (const turn of [1, 2, 3, 4]) {
      await bench.say(`message ${turn}`);
      await bench.turnEnd(turn);
    }
    const notices = bench.durable().filter(({ type }) => type === 'notice');
    t.equal(notices.length, 1);
    t.match(notices[0], {
      code: 'budget_80',
      message: /80 % of the budget of user user-1 for the day/,
      budget: { tokens: 4 },
    });
    const second = (await bench.turnEnd(2)).seq;
    t.ok(notices[0]!.seq < second && second - notices[0]!.seq < 3, 'in the turn that crossed the line');
    t.match(await bench.turnEnd(3), { stopReason: 'end_turn', budgets: [{ tokens: 0 }] });
    t.match(await bench.turnEnd(4), {
      stopReason: 'error',
      error: { code: 'ERR_BUDGET', message: /used up; it begins anew at \d{4}-\d\d-\d\dT00:00Z/, retryAfterMs: Number },
      usage: { inputTokens: 0 },
    });
    t.equal(bench.model.requests.length, 3);
    const history = await bench.store.readHistory(OF.session);
    t.same(
      history.map(({ role }) => role),
      ['user', 'assistant', 'user', 'assistant', 'user', 'assistant', 'user'],
    );
  },
);

const breaks: Script = async function* ({ onUsage }) {
  yield { type: 'text', block: 0, text: 'half' };
  onUsage?.({ ...USAGE, outputTokens: 2 });
  throw new FairleadError('ERR_MODEL', 'it broke off');
};

t.test('an answer that is cut off or stopped costs what is known of it', async (t) => {
  const bench = await startBench(t, { prices: PRICES, budgets: [{ of: 'session', per: 'session', amount: 1 }] });
  bench.model.next(breaks, says('whole'));
  await bench.say('a');
  const cost = AMOUNT - 3 * 2e-6;
  t.match(await bench.turnEnd(1), { stopReason: 'error', usage: { outputTokens: 2 }, cost: { amount: cost } });
  await bench.say('b');
  t.match((await bench.turnEnd(2)).budgets, [{ of: 'session', amount: 1 - cost - AMOUNT }]);
});

t.test('of 200 turns at once only those run that the budget pays for, and one answer more at most', async (t) => {
  const answers = 20;
  const bench = await startBench(t, {
    budgets: [{ of: 'user', per: 'month', tokens: answers * TOKENS }],
    quotas: { default: { maxTurns: 0 } },
  });
  const sessions = Array.from({ length: 200 }, (_, index) => ({ user: OF.user, session: `session-${index + 10}` }));
  bench.model.next(...sessions.map(() => says('yes')));
  await Promise.all(sessions.map((of) => bench.request('create-session', of)));
  const content = [{ type: 'text' as const, text: 'go' }];
  await Promise.all(sessions.map((of) => bench.request('submit-message', { ...of, content })));
  const ends = (): { stopReason: string; error?: { code: string } }[] =>
    bench.events.flatMap((event) => (event.type === 'turn:end' ? [event] : []));
  await bench.until(
    () => ends().length === 200,
    () => `${ends().length} turns have ended`,
  );
  const ran = ends().filter(({ stopReason }) => stopReason === 'end_turn').length;
  t.ok(ran === answers || ran === answers + 1, `${ran} ran`);
  t.equal(bench.model.requests.length, ran, 'no other was asked');
  t.equal(ends().filter(({ error }) => error?.code === 'ERR_BUDGET').length, 200 - ran);
});

t.test('a call that the budget cannot pay for does not run, and the model is told', async (t) => {
  const bench = await startBench(t, {
    prices: { ...PRICES, tools: [{ server: '*', tool: 'echo', amount: 1 }] },
    budgets: [{ of: 'user', per: 'day', amount: 1 }],
    approvals: { default: 'allow' },
  });
  const calls = ['c-1', 'c-2'].map((id) => callsTools([{ id, name: 'echo', input: { text: id } }]));
  bench.model.next(calls[0]!, says('never'));
  await bench.say('go');
  t.match(await bench.turnEnd(1), { error: { code: 'ERR_BUDGET' } });
  t.match(await bench.event('tool:result'), { ok: true });
  t.equal(bench.model.requests.length, 1, 'the price of the call left nothing for an answer');
});

t.test('who waits for what others have reserved can be stopped', async (t) => {
  const bench = await startBench(t, { budgets: [{ of: 'user', per: 'day', tokens: 100 }] });
  const other = { user: OF.user, session: 'session-2' };
  await bench.request('create-session', other);
  const held = deferred<void>();
  const waits: Script = async function* () {
    yield { type: 'text', block: 0, text: 'slow' };
    await held.promise;
    yield* says('slow')({} as never, new AbortController().signal);
  };
  bench.model.next(waits);
  await bench.say('first');
  await bench.event('text:delta');
  const content = [{ type: 'text' as const, text: 'second' }];
  await bench.request('submit-message', { ...other, content });
  await bench.request('cancel-turn', other);
  t.match(await bench.event('turn:end'), { stopReason: 'cancelled' });
  held.resolve();
  await bench.event('turn:end', ({ stopReason }) => stopReason === 'end_turn');
  t.equal(bench.model.requests.length, 1);
});

t.test('a turn that no budget pays for says of each budget what is left, as data', async (t) => {
  const bench = await startBench(t, {
    prices: PRICES,
    budgets: [
      { of: 'session', per: 'session', tokens: TOKENS },
      { of: 'user', per: 'day', amount: 2 },
    ],
  });
  bench.model.next(says('one'));
  for (const turn of [1, 2]) {
    await bench.say('go');
    await bench.turnEnd(turn);
  }
  const end = await bench.turnEnd(2);
  t.match(end, { stopReason: 'error', error: { code: 'ERR_BUDGET', message: /the session is used up; start a new/ } });
  t.match(end.budgets, [
    { of: 'session', per: 'session', tokens: 0 },
    { of: 'user', per: 'day', name: OF.user, amount: 2 - AMOUNT, resetAt: Number },
  ]);
  t.match(end.usage, { inputTokens: 0, outputTokens: 0 });
});

t.test('a turn that waits for a place at the model has nothing reserved', async (t) => {
  const budget = { of: 'user', name: OF.user, per: 'day', tokens: 100_000 };
  const bench = await startBench(t, { limits: { maxModelCalls: 1 }, budgets: [budget] });
  const other = { user: 'user-2', session: 'session-2' };
  await bench.request('create-session', other);
  const held = deferred<void>();
  const waits: Script = async function* (request, signal) {
    await held.promise;
    yield* says('slow')(request, signal);
  };
  const reserved = new Map<string, number>();
  const { ledger } = bench.store;
  const reserve = ledger.reserve.bind(ledger);
  const settle = ledger.settle.bind(ledger);
  ledger.reserve = async (reservation) => {
    const reply = await reserve(reservation);
    if (reply.state === 'reserved') reserved.set(reservation.id, bench.model.requests.length);
    return reply;
  };
  ledger.settle = (settlement) => (reserved.delete(settlement.id), settle(settlement));
  bench.model.next(waits, says('quick'));
  await bench.request('submit-message', { ...other, content: [{ type: 'text', text: 'first' }] });
  await bench.until(
    () => bench.model.requests.length === 1,
    () => 'the first request was not made',
  );
  await bench.say('second');
  await bench.event('turn:waiting');
  t.equal(reserved.size, 0);
  held.resolve();
  await bench.event('text', ({ text }) => text === 'quick');
  await bench.event('turn:end', ({ budgets }) => budgets?.[0]?.name === OF.user);
});

t.test(
  'text with a token for each byte overshoots a budget by one answer at most, however many ask at once',
  async (t) => {
    const bytes = 9_000;
    const limit = 60_000;
    const bench = await startBench(t, {
      model: { maxTokens: 100 },
      budgets: [{ of: 'user', per: 'day', tokens: limit }],
      quotas: { default: { maxTurns: 0 } },
    });
    const counts: Script = async function* () {
      const usage = { ...USAGE, inputTokens: bytes };
      yield {
        type: 'done',
        answer: { content: [{ type: 'text', text: 'yes' }], stopReason: 'end_turn', usage, model: 'm' },
      };
    };
    const sessions = Array.from({ length: 30 }, (_, index) => ({ user: OF.user, session: `session-${index + 10}` }));
    bench.model.next(...sessions.map(() => counts));
    await Promise.all(sessions.map((of) => bench.request('create-session', of)));
    const content = [{ type: 'text' as const, text: '7'.repeat(bytes) }];
    await Promise.all(sessions.map((of) => bench.request('submit-message', { ...of, content })));
    await bench.until(
      () => bench.types().filter((type) => type === 'turn:end').length === sessions.length,
      () => 'not all turns have ended',
    );
    const used = bench.model.requests.length * bytes;
    t.ok(used >= limit - bytes && used < limit + 2 * bytes, `${used} of ${limit}`);
  },
);
