/** The settings about money: what models and tools cost, who may use how much of them, how long use is remembered. Main thread and command line. */
import { z } from 'zod';
import type { Config, ConfigProblem } from './config.js';
import { hasModelAccess } from './config-model.js';
import { glob } from './config-fields.js';
import { createPrices } from './prices.js';

/** A price above it is a slip of the pen, and its sums would leave the range of exact numbers. */
const MAX_PRICE = 100_000;
/** Of tokens and money of one budget: sums up to it are exact. */
const MAX_TOKENS = 1e15;
const MAX_AMOUNT = 1e6;

const perMillion = z.number().min(0).max(MAX_PRICE);
const day = z.iso.date('a day as YYYY-MM-DD');

export const pricesSchema = z
  .strictObject({
    currency: z
      .string()
      .regex(/^[A-Z]{3}$/, 'a currency is three capital letters, such as USD')
      .default('USD')
      .describe('Of all prices and budgets'),
    models: z
      .array(
        z.strictObject({
          model: glob,
          from: day.optional().describe('The first day (UTC) of this price; absent = always'),
          input: perMillion,
          output: perMillion,
          cacheWrite: perMillion.optional().describe('Absent = as input'),
          cacheRead: perMillion.optional().describe('Absent = as input'),
        }),
      )
      .default([])
      .describe('Per million tokens. The first glob that matches a model counts, with its newest price'),
    tools: z
      .array(
        z.strictObject({
          server: glob.default('*'),
          tool: glob.default('*'),
          from: day.optional().describe('The first day (UTC) of this price; absent = always'),
          amount: z.number().min(0).max(MAX_PRICE).describe('Of one call'),
        }),
      )
      .default([])
      .describe('What a call of a tool costs. The first entry that matches counts'),
  })
  .prefault({});

export const budgetsSchema = z
  .array(
    z.strictObject({
      of: z.enum(['user', 'group', 'session', 'turn']).describe('Whose use is counted together'),
      name: glob.optional().describe('Of users or groups; absent = each'),
      per: z.enum(['turn', 'session', 'day', 'month']).describe('Days and months are UTC'),
      tokens: z.number().int().min(0).max(MAX_TOKENS).optional().describe('Read, written and cached, all together'),
      amount: z.number().min(0).max(MAX_AMOUNT).optional().describe('In prices.currency'),
    }),
  )
  .max(100)
  .default([])
  .describe('Of those with the same `of` and `per` the first that matches holds');

export const usageSchema = z
  .strictObject({
    keepDays: z.number().int().min(1).max(3_660).default(100).describe('How long use by day is remembered'),
  })
  .prefault({});

export type BudgetRule = z.infer<typeof budgetsSchema>[number];
export type PriceTable = z.infer<typeof pricesSchema>;

/** What a rule may count over. `turn` of a user means: in each turn of that user. */
const PERIODS: Record<BudgetRule['of'], readonly BudgetRule['per'][]> = {
  user: ['turn', 'session', 'day', 'month'],
  group: ['turn', 'session', 'day', 'month'],
  session: ['session', 'day', 'month'],
  turn: ['turn'],
};

/** Finds what is wrong with budgets, alone and beside the prices. */
export function budgetProblems(
  config: Pick<Config, 'budgets' | 'prices' | 'model' | 'anthropic'>,
  now = Date.now(),
): ConfigProblem[] {
  const { budgets } = config;
  const problems = budgets.flatMap(({ of, name, per, tokens, amount }, index): ConfigProblem[] => {
    const path = `budgets.${index}`;
    return [
      ...(PERIODS[of].includes(per)
        ? []
        : [{ path: `${path}.per`, message: `must be ${PERIODS[of].join(' or ')} where \`of\` is ${of}` }]),
      ...(name !== undefined && (of === 'session' || of === 'turn')
        ? [{ path: `${path}.name`, message: 'names users or groups: set `of` to one of these, or leave it out' }]
        : []),
      ...(tokens === undefined && amount === undefined ? [{ path, message: 'needs tokens or amount' }] : []),
    ];
  });
  if (!budgets.some(({ amount }) => amount !== undefined)) return problems;
  const prices = createPrices(config.prices);
  const unpriced = modelsOf(config).filter((model) => prices.ofModel(model, now) === undefined);
  const without = unpriced.map((model) => ({
    path: 'prices.models',
    message: `has no price for the model ${model} today, and a budget counts money: add one`,
  }));
  return [...problems, ...without];
}

/** All that a session may use. */
function modelsOf({ model, anthropic }: Pick<Config, 'model' | 'anthropic'>): string[] {
  const { provider, name, allow } = model;
  const isDemo = provider === 'demo' || (provider === 'auto' && !hasModelAccess(anthropic));
  return isDemo ? ['demo'] : [...new Set([name, ...allow])];
}
