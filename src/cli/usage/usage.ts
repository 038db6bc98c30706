/** `fairlead usage`: asks a running server who has used how much, and prints it. Command line's process. */
import { z } from 'zod';
import { toCsv } from '../../shared/csv.js';
import { safeEndpoint } from '../endpoint.js';
import { HttpApi } from '../http-api.js';
import { inline } from '../terminal-text.js';

const TIMEOUT_MS = 70_000;
const PAGE = '10000';

const lineSchema = z.object({
  name: z.string(),
  inputTokens: z.number(),
  outputTokens: z.number(),
  cacheReadTokens: z.number(),
  cacheWriteTokens: z.number(),
  amount: z.number(),
  answers: z.number(),
  calls: z.number(),
});
const leftSchema = z.object({
  of: z.string(),
  per: z.string(),
  name: z.string().optional(),
  tokens: z.number().optional(),
  amount: z.number().optional(),
});
const usageSchema = z.object({
  by: z.string(),
  from: z.string(),
  to: z.string(),
  currency: z.string(),
  rows: z.array(lineSchema),
  next: z.string().optional(),
  budgets: z.array(leftSchema).optional(),
});

type Usage = z.infer<typeof usageSchema>;

export interface UsageOptions {
  by?: string;
  user?: string;
  from?: string;
  to?: string;
  url: string;
  token: string | undefined;
  insecure: boolean;
  format: 'text' | 'csv' | 'json';
  write: (text: string) => void;
}

const HEAD = ['input', 'output', 'cache read', 'cache write', 'answers', 'calls'];

/** ERR_FORBIDDEN where the role is too low, ERR_UNAVAILABLE where nobody answers. */
export async function printUsage(options: UsageOptions): Promise<void> {
  const usage = await readAll(options);
  switch (options.format) {
    case 'json':
      return options.write(`${JSON.stringify(usage)}\n`);
    case 'csv':
      return options.write(
        toCsv(
          [usage.by, ...HEAD, 'amount', 'currency'],
          rowsOf(usage).map((row) => [...row, usage.currency]),
        ),
      );
    case 'text':
      return options.write(usageText(usage));
  }
}

async function readAll({ by, user, from, to, ...access }: UsageOptions): Promise<Usage> {
  const api = new HttpApi(safeEndpoint(access).http, access.token);
  const path = by === undefined && user === undefined ? '/v1/usage' : '/v1/admin/usage';
  const asked = Object.entries({ by, user, from, to, limit: PAGE }).filter(([, value]) => value !== undefined);
  const query = new URLSearchParams(asked as [string, string][]);
  let all: Usage | undefined;
  for (;;) {
    const page = await api.ask(`${path}?${query.toString()}`, usageSchema, { timeoutMs: TIMEOUT_MS });
    const { next, ...rest } = page;
    all = { ...rest, rows: [...(all?.rows ?? []), ...page.rows] };
    if (next === undefined) return all;
    query.set('after', next);
  }
}

function rowsOf({ rows }: Usage): (string | number)[][] {
  return rows.map(({ name, inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, amount, answers, calls }) => [
    name,
    inputTokens,
    outputTokens,
    cacheReadTokens,
    cacheWriteTokens,
    answers,
    calls,
    amount,
  ]);
}

function usageText(usage: Usage): string {
  const { by, from, to, currency, budgets = [] } = usage;
  const left = budgets.map(({ of, per, name, tokens, amount }) => {
    const parts = [
      ...(tokens === undefined ? [] : [`${tokens} tokens`]),
      ...(amount === undefined ? [] : [`${amount.toFixed(2)} ${currency}`]),
    ];
    return `left of the budget of ${of} ${inline(name ?? '')} for the ${per}: ${parts.join(', ')}\n`;
  });
  if (usage.rows.length === 0) return [`nothing was used from ${from} to ${to}\n`, ...left].join('');
  const table = [
    [by, ...HEAD, currency],
    ...rowsOf(usage).map((row) =>
      row.map((cell, index) => (index === 7 ? Number(cell).toFixed(4) : inline(String(cell)))),
    ),
  ];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  const lines = table.map((row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  '),
  );
  return [...lines.map((line) => `${line.trimEnd()}\n`), ...left].join('');
}
