import t from 'tap';
import { ConfigError, parseConfig } from '../../../src/shared/config.js';

const KEY = { ANTHROPIC_API_KEY: 'sk-test' };
const PRICE = { model: 'claude-*', input: 3, output: 15 };

function problems(json: unknown, env: NodeJS.ProcessEnv = KEY): { path: string; message: string }[] {
  try {
    parseConfig(json, env);
  } catch (error) {
    if (error instanceof ConfigError) return [...error.problems];
    throw error;
  }
  return [];
}

t.test('without settings nothing is counted against anybody', async (t) => {
  const { budgets, prices, usage } = parseConfig({}, {});
  t.same(
    { budgets, prices, usage },
    {
      budgets: [],
      prices: { currency: 'USD', models: [], tools: [] },
      usage: { keepDays: 100 },
    },
  );
});

t.test('a model without a price is refused at the start and named, where a budget counts money', async (t) => {
  const budgets = [{ of: 'user', per: 'day', amount: 5 }];
  const model = { name: 'claude-opus-5-5', allow: ['claude-haiku-5-5', 'gpt-x', 'claude-opus-5-5'] };
  t.match(problems({ budgets, model, prices: { models: [PRICE] } }), [
    { path: 'prices.models', message: /no price for the model gpt-x/ },
  ]);
  t.same(problems({ budgets, model, prices: { models: [PRICE, { model: 'gpt-*', input: 1, output: 1 }] } }), []);
  t.match(problems({ budgets, prices: { models: [{ ...PRICE, from: '2999-01-01' }] } }), [
    { message: /claude-sonnet-5-5 today/ },
  ]);
  t.match(problems({ budgets }, {}), [{ message: /the model demo/ }], 'the scripted model counts as any other');
  t.same(problems({ budgets: [{ of: 'user', per: 'day', tokens: 5 }] }), [], 'tokens need no price');
});

t.test('a budget says of whom, per what, and how much', async (t) => {
  const wrong = [
    { of: 'user', per: 'day' },
    { of: 'turn', per: 'day', tokens: 1 },
    { of: 'session', per: 'turn', tokens: 1 },
    { of: 'session', name: 'x', per: 'day', tokens: 1 },
    { of: 'group', name: 'analysts', per: 'month', tokens: 1 },
  ];
  t.same(
    problems({ budgets: wrong }).map(({ path }) => path),
    ['budgets.0', 'budgets.1.per', 'budgets.2.per', 'budgets.3.name'],
  );
  const numbers = [
    { of: 'user', per: 'day', tokens: 1.5 },
    { of: 'user', per: 'day', amount: -1 },
    { of: 'user', per: 'week', tokens: 1 },
  ];
  t.same(
    problems({ budgets: numbers }).map(({ path }) => path),
    ['budgets.0.tokens', 'budgets.1.amount', 'budgets.2.per'],
  );
  t.same(
    problems({
      prices: {
        currency: 'usd',
        models: [
          { ...PRICE, from: '2026-02-30' },
          { ...PRICE, input: -1 },
        ],
      },
    }).map(({ path }) => path),
    ['prices.currency', 'prices.models.0.from', 'prices.models.1.input'],
  );
});
