/** Which budgets a call counts against. Pure; agent threads. */
import type { BudgetRule } from '../../../src/shared/config-budgets.js';
import { standingOf, type Standing } from '../../../src/shared/person.js';
import { nameGlob } from '../../../src/shared/name-globs.js';
import { toNanos } from '../../../src/shared/prices.js';
import type { BudgetCounter } from '../store/ledger.js';

/** For whom a call is made. */
export interface Payer {
  user: string;
  groups: readonly string[];
  session: string;
  /** Absent: outside of a turn. */
  turn?: number | undefined;
}

/** A session's user, as what they were let in. */
export function payerOf({ user, session, who }: Caller, turn?: number): Payer {
  return { user, session, groups: standingOf(who).groups, turn };
}

interface Caller {
  user: string;
  session: string;
  who?: Standing | undefined;
}

export interface Budget {
  rule: BudgetRule;
  /** The user, the group, the session or the turn. */
  subject: string;
  counter: BudgetCounter;
}

export function createBudgetRules(rules: readonly BudgetRule[]): (payer: Payer) => Budget[] {
  const known = rules.map((rule) => ({ rule, matches: rule.name === undefined ? () => true : nameGlob(rule.name) }));
  return (payer) => {
    const taken = new Set<string>();
    return known.flatMap(({ rule, matches }) =>
      subjectsOf(rule, payer).flatMap((subject): Budget[] => {
        const kind = JSON.stringify([rule.of, rule.per, subject]);
        // The first rule that matches holds.
        if (!matches(subject) || taken.has(kind)) return [];
        taken.add(kind);
        return [{ rule, subject, counter: counterOf(rule, subject, payer) }];
      }),
    );
  };
}

function subjectsOf({ of, per }: BudgetRule, { user, groups, session, turn }: Payer): readonly string[] {
  if (per === 'turn' && turn === undefined) return [];
  switch (of) {
    case 'user':
      return [user];
    case 'group':
      return groups;
    case 'session':
      return [session];
    case 'turn':
      return [`${session} ${turn}`];
  }
}

function counterOf({ of, per, tokens, amount }: BudgetRule, subject: string, { session, turn }: Payer): BudgetCounter {
  const within = per === 'turn' ? [session, turn] : per === 'session' ? [session] : [];
  return {
    id: JSON.stringify([of, subject, ...within]),
    per,
    ...(tokens === undefined ? {} : { tokens }),
    ...(amount === undefined ? {} : { nanos: toNanos(amount) }),
  };
}
