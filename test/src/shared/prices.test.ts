import t from 'tap';
import { costOf, createPrices, tokensOf, toAmount } from '../../../src/shared/prices.js';

const AT = Date.parse('2026-06-15T12:00:00Z');
const TABLE = {
  currency: 'EUR',
  models: [
    { model: 'claude-opus-*', input: 15, output: 75, cacheWrite: 18.75, cacheRead: 1.5 },
    { model: 'claude-opus-*', from: '2026-06-15', input: 5, output: 25 },
    { model: 'claude-opus-*', from: '2026-07-01', input: 1, output: 2 },
    { model: '*', from: '2026-06-16', input: 3, output: 15 },
  ],
  tools: [
    { server: 'search', tool: 'deep_*', amount: 0.02 },
    { server: 'search', tool: 'deep_*', from: '2027-01-01', amount: 1 },
    { server: 'search', tool: '*', amount: 0.005 },
  ],
};
const usage = { inputTokens: 1_000, outputTokens: 100, cacheReadTokens: 10_000, cacheWriteTokens: 500 };

t.test('a model has the newest price of the first glob that matches it', async (t) => {
  const prices = createPrices(TABLE);
  t.equal(prices.ofModel('claude-opus-5-5', AT)?.outputTokens, 25_000);
  t.equal(prices.ofModel('claude-opus-5-5', Date.parse('2026-06-14T23:59:59.999Z'))?.outputTokens, 75_000);
  t.equal(prices.ofModel('claude-opus-5-5', Date.parse('2026-07-01T00:00:00Z'))?.outputTokens, 2_000);
  t.equal(prices.ofModel('other', AT), undefined, 'the only glob that matches holds from tomorrow on');
  t.equal(prices.ofModel('other', Date.parse('2026-06-16T00:00:00Z'))?.inputTokens, 3_000);
});

t.test('an answer costs what its tokens cost, each kind at its own price', async (t) => {
  const before = createPrices(TABLE).ofModel('claude-opus-5-5', AT - 86_400_000)!;
  t.equal(toAmount(costOf(usage, before)), (1_000 * 15 + 100 * 75 + 10_000 * 1.5 + 500 * 18.75) / 1e6);
  const now = createPrices(TABLE).ofModel('claude-opus-5-5', AT)!;
  t.equal(
    toAmount(costOf(usage, now)),
    (11_500 * 5 + 100 * 25) / 1e6,
    'without prices of their own cached tokens cost as input',
  );
  t.equal(tokensOf(usage), 11_600);
});

t.test('sums of small prices have no rounding error, and what is used is never free', async (t) => {
  const price = createPrices({ ...TABLE, models: [{ model: '*', input: 0.1, output: 0.0001 }] }).ofModel('m', AT)!;
  const one = { inputTokens: 1, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 };
  t.equal(costOf({ ...one, inputTokens: 3 }, price), 300);
  let sum = 0;
  for (let i = 0; i < 1_000; i++) sum += costOf(one, price);
  t.equal(toAmount(sum), 0.0001);
  t.equal(costOf({ ...one, inputTokens: 0, outputTokens: 1 }, price), 1);
});

t.test('a tool call costs what the first entry that matches says', async (t) => {
  const prices = createPrices(TABLE);
  t.equal(toAmount(prices.ofTool('search', 'deep_web', AT)), 0.02);
  t.equal(toAmount(prices.ofTool('search', 'deep_web', Date.parse('2027-01-01'))), 1);
  t.equal(toAmount(prices.ofTool('search', 'web', AT)), 0.005);
  t.equal(prices.ofTool('files', 'web', AT), 0);
});
