/** What one model call or tool call has cost, and what is left then. Pure; agent threads. */
import { toAmount, type Prices } from '../../../src/shared/prices.js';
import type { BudgetLeft, DurableEvent, Usage } from '../../../src/shared/protocol.js';
import { addUsage, NO_USAGE } from '../log/usage.js';
import type { Level } from '../store/ledger.js';
import type { Budget } from './budget-rules.js';

/** Filled while the call runs; complete when it has ended. */
export interface Bill {
  usage: Usage;
  /** Absent: no price is known. */
  nanos?: number;
  left: BudgetLeft[];
  /** Budgets of which this call has used up the first 80 %. */
  crossed: BudgetLeft[];
}

export function newBill(): Bill {
  return { usage: { ...NO_USAGE }, left: [], crossed: [] };
}

export function addToBill(bill: Bill, usage: Readonly<Usage>): void {
  bill.usage = addUsage(bill.usage, usage);
}

export function leftOf(
  { rule, subject, counter }: Budget,
  level: Level,
  { currency }: Pick<Prices, 'currency'>,
): BudgetLeft {
  const { of, per } = rule;
  const { tokens, nanos } = counter;
  return {
    of,
    per,
    ...(of === 'user' || of === 'group' ? { name: subject } : {}),
    ...(tokens === undefined ? {} : { tokens: Math.max(0, tokens - level.tokens) }),
    ...(nanos === undefined ? {} : { amount: toAmount(Math.max(0, nanos - level.nanos)), currency }),
    ...(level.endsAt === undefined ? {} : { resetAt: level.endsAt }),
  };
}

/** For the log of the session whose call has crossed the line. */
export function noticesOf(bill: Bill | undefined): DurableEvent[] {
  return (bill?.crossed ?? []).map((budget) => ({
    type: 'notice',
    code: 'budget_80',
    message: `80 % of ${budgetText(budget)} are used; ${leftText(budget)}${resetText(budget)}`,
    budget,
  }));
}

/** The budget of user ada for the day. */
export function budgetText({ of, name, per }: BudgetLeft): string {
  const whose = name === undefined ? `the ${of}` : `${of} ${name}`;
  return of === per ? `the budget of ${whose}` : `the budget of ${whose} for the ${per}`;
}

export function resetText({ resetAt }: BudgetLeft): string {
  return resetAt === undefined ? '' : `; it begins anew at ${new Date(resetAt).toISOString().slice(0, 16)}Z`;
}

function leftText({ tokens, amount, currency }: BudgetLeft): string {
  const parts = [
    ...(tokens === undefined ? [] : [`${tokens} tokens`]),
    ...(amount === undefined ? [] : [`${amount.toFixed(2)} ${currency}`]),
  ];
  return `${parts.join(' and ')} are left`;
}
