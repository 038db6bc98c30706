import t from 'tap';
import { createBudgetRules } from '../../../../workers/agent/budget/budget-rules.js';

const ADA = { user: 'ada', groups: ['analysts', 'staff'], session: 's-1', turn: 2 };

t.test('of budgets with the same `of` and `per` the first that matches holds, and all others beside it', async (t) => {
  const of = createBudgetRules([
    { of: 'user', name: 'ci-*', per: 'day', tokens: 1 },
    { of: 'user', per: 'day', tokens: 2 },
    { of: 'user', name: 'ada', per: 'day', tokens: 3 },
    { of: 'user', per: 'month', amount: 4 },
    { of: 'group', name: 'analysts', per: 'day', tokens: 5 },
    { of: 'group', per: 'day', tokens: 6 },
  ]);
  t.same(
    of(ADA).map(({ subject, counter: { per, tokens, nanos } }) => [subject, per, tokens ?? nanos]),
    [
      ['ada', 'day', 2],
      ['ada', 'month', 4e9],
      ['analysts', 'day', 5],
      ['staff', 'day', 6],
    ],
  );
  t.same(
    of({ ...ADA, user: 'ci-7', groups: [] }).map(({ counter }) => counter.tokens ?? counter.nanos),
    [1, 4e9],
  );
});

t.test('each user, group, session and turn has a counter of its own', async (t) => {
  const rules = [
    { of: 'user', per: 'day', tokens: 1 },
    { of: 'user', per: 'turn', tokens: 1 },
    { of: 'user', per: 'session', tokens: 1 },
    { of: 'session', per: 'session', tokens: 1 },
    { of: 'turn', per: 'turn', tokens: 1 },
  ] as const;
  const of = createBudgetRules(rules);
  const ids = (payer: typeof ADA): string[] => of(payer).map(({ counter }) => counter.id + counter.per);
  t.equal(new Set(ids(ADA)).size, 5);
  const same = (payer: typeof ADA): number => ids(payer).filter((id) => ids(ADA).includes(id)).length;
  t.equal(same({ ...ADA, turn: 3 }), 3, 'day, and both of the session');
  t.equal(same({ ...ADA, session: 's-2' }), 1, 'the day');
  t.equal(same({ ...ADA, user: 'bob' }), 2, 'the session and the turn');
  t.equal(of({ ...ADA, turn: undefined }).length, 3, 'outside of a turn no budget of turns holds');
});
