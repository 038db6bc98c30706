/** What the main thread may ask of an agent thread about use and budgets. Agent threads. */
import { toAmount } from '../../../src/shared/prices.js';
import type { RequestHandlers } from '../../../src/shared/threads/channel.js';
import { dayText } from '../../../src/shared/utc-period.js';
import type { Meter } from '../budget/meter.js';
import type { AgentContract } from '../contract/messages.js';
import type { ReadUsageRequest, ReadUsageResult, UsageLine } from '../contract/usage.js';
import type { Ledger, UsageCounts, UsageRow } from '../store/ledger.js';
import { addCounts } from '../store/usage-sums.js';

export function usageRequests(
  meter: Meter,
  ledger: Pick<Ledger, 'readUsage'>,
): Pick<RequestHandlers<AgentContract>, 'read-usage' | 'budgets-left'> {
  return {
    'read-usage': async (request) => {
      await meter.usage.flush();
      return { currency: meter.budgets.prices.currency, ...(await readUsage(ledger, request)) };
    },
    'budgets-left': async (payer) => ({ budgets: await meter.budgets.left(payer) }),
  };
}

async function readUsage(
  ledger: Pick<Ledger, 'readUsage'>,
  { by, from, to, user, after, limit }: ReadUsageRequest,
): Promise<Omit<ReadUsageResult, 'currency'>> {
  const sums = new Map<string, UsageCounts>();
  const of =
    user !== undefined
      ? ({ kind: 'user', name: user } as const)
      : by === 'user' || by === 'group'
        ? { kind: by }
        : ({ kind: 'all', name: '' } as const);
  for (let day = from; day <= to; day++) {
    await ledger.readUsage(day, of, (row) => {
      const name = nameOf(row, by, day);
      if (after !== undefined && name <= after) return;
      const before = sums.get(name);
      sums.set(name, before ? addCounts(before, row.counts) : row.counts);
    });
  }
  const names = [...sums.keys()].sort();
  const shown = names.slice(0, limit);
  const rows = shown.map((name) => lineOf(name, sums.get(name)!));
  return { rows, ...(names.length > limit ? { next: shown.at(-1)! } : {}) };
}

function nameOf({ name, model }: UsageRow, by: ReadUsageRequest['by'], day: number): string {
  switch (by) {
    case 'user':
    case 'group':
      return name;
    case 'model':
      return model;
    case 'day':
      return dayText(day);
  }
}

function lineOf(name: string, counts: UsageCounts): UsageLine {
  const [inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, nanos, answers, calls] = counts;
  return {
    name,
    inputTokens,
    outputTokens,
    cacheReadTokens,
    cacheWriteTokens,
    amount: toAmount(nanos),
    answers,
    calls,
  };
}
