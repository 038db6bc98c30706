/** Reserves from budgets before a call and settles after it. Agent threads; one for each. */
import { randomUUID } from 'node:crypto';
import { audit } from '../../../src/shared/audit.js';
import type { Config } from '../../../src/shared/config.js';
import { errorToData, FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { createPrices, type Prices } from '../../../src/shared/prices.js';
import type { BudgetLeft } from '../../../src/shared/protocol.js';
import { isSpent, type Ledger, type Level, type Settlement, type Sum } from '../store/ledger.js';
import { budgetText, leftOf, resetText } from './bill.js';
import { createBudgetRules, type Budget, type Payer } from './budget-rules.js';
import { WaitingLine, type PlaceInLine } from './waiting-line.js';

/** A reservation of a process that has died ends after so long. */
const LEASE_MS = 60_000;
const RENEW_MS = 20_000;
/** How long a call waits for others to settle. */
const WAIT_MS = 300_000;
/** Settlements that the store has not taken yet. */
const MAX_OWED = 1_000;

export interface Reserved {
  payer: Payer;
  budgets: readonly Budget[];
  id: string;
  places: readonly string[];
}

/** What a call needs beside its money, such as a place at the model. While it waits for one of the two it holds neither. */
export interface Gate {
  /** Waits. False: the call is not made now. */
  enter(): Promise<boolean>;
  leave(): void;
}

export interface Settled {
  left: BudgetLeft[];
  crossed: BudgetLeft[];
}

export interface BudgetsOptions {
  config: Pick<Config, 'budgets' | 'prices'>;
  ledger: Ledger;
  log: Logger;
  waitMs?: number;
}

export class Budgets {
  #prices: Prices;
  readonly #ledger: Ledger;
  readonly #log: Logger;
  #of: (payer: Payer) => Budget[];
  #countsMoney: boolean;
  readonly #waitMs: number;
  readonly #line = new WaitingLine();
  readonly #reserved = new Set<string>();
  readonly #owed = new Map<string, Settlement>();
  #timer: NodeJS.Timeout | undefined;

  constructor({ config, ledger, log, waitMs = WAIT_MS }: BudgetsOptions) {
    this.#prices = createPrices(config.prices);
    this.#ledger = ledger;
    this.#log = log;
    this.#of = createBudgetRules(config.budgets);
    this.#countsMoney = config.budgets.some(({ amount }) => amount !== undefined);
    this.#waitMs = waitMs;
  }

  get prices(): Prices {
    return this.#prices;
  }

  /** What is reserved by now is settled against the budgets that it was reserved from. */
  setRules(config: BudgetsOptions['config']): void {
    this.#prices = createPrices(config.prices);
    this.#of = createBudgetRules(config.budgets);
    this.#countsMoney = config.budgets.some(({ amount }) => amount !== undefined);
  }

  /**
   * Undefined: no budget holds, and nothing was asked of the store; or the gate did not let the call in. Waits while what is left is
   * reserved by calls that run. `estimate.nanos` undefined: no price is known. ERR_BUDGET, ERR_CANCELLED, what the gate rejects with,
   * and ERR_UNAVAILABLE of the store: what cannot be counted does not run. Whoever gave the gate leaves it then.
   */
  async reserve(
    payer: Payer,
    estimate: { tokens: number; nanos: number | undefined },
    { signal, gate }: { signal: AbortSignal; gate?: Gate | undefined },
  ): Promise<Reserved | undefined> {
    const budgets = this.#of(payer);
    if (budgets.length === 0) {
      await gate?.enter();
      return undefined;
    }
    if (estimate.nanos === undefined && this.#countsMoney) {
      throw new FairleadError('ERR_BUDGET', 'this model has no price in prices.models, and a budget counts money');
    }
    const counters = budgets.map(({ counter }) => counter);
    const sum: Sum = { tokens: Math.ceil(estimate.tokens), nanos: Math.ceil(estimate.nanos ?? 0) };
    let leftMs = this.#waitMs;
    const id = randomUUID();
    const waited = budgets.find(({ counter }) => this.#line.has(counter.id));
    let line: { budget: Budget; place: PlaceInLine } | undefined = waited && this.#join(waited);
    try {
      for (;;) {
        if (line) {
          const from = performance.now();
          if (!(await line.place.turnToTry(signal, from + leftMs)))
            throw busy(leftOf(line.budget, NOTHING, this.prices));
          leftMs -= performance.now() - from;
        }
        if (gate && !(await gate.enter())) return undefined;
        const reply = await this.#ledger.reserve({ id, estimate: sum, counters, leaseMs: LEASE_MS });
        if (reply.state === 'reserved') {
          this.#reserved.add(id);
          this.#keepTime();
          return { payer, budgets, id, places: reply.places };
        }
        gate?.leave();
        const budget = budgets[reply.at]!;
        if (reply.state === 'spent') throw spent(leftOf(budget, reply.level, this.prices));
        if (line?.budget.counter.id === budget.counter.id) continue;
        line?.place.leave();
        line = this.#join(budget);
      }
    } finally {
      line?.place.leave();
    }
  }

  /** Never rejects: what the store does not take now is settled later. */
  async settle({ payer, budgets, id, places }: Reserved, used: Sum): Promise<Settled> {
    const counters = budgets.map(({ counter }) => counter);
    this.#reserved.delete(id);
    const settlement = { id, used, counters, places };
    try {
      const levels = await this.#ledger.settle(settlement);
      const found = budgets.map((budget, index) => ({ budget, level: levels[index]! }));
      for (const each of found) this.#noteReached(payer, each, used);
      return {
        left: found.map(({ budget, level }) => leftOf(budget, level, this.prices)),
        crossed: found
          .filter(({ level }) => level.crossed)
          .map(({ budget, level }) => leftOf(budget, level, this.prices)),
      };
    } catch (error) {
      this.#owe(settlement, error);
      return { left: [], crossed: [] };
    } finally {
      for (const { id: budget } of counters) this.#line.wake(budget);
    }
  }

  /** What is left to this user and these groups now. */
  async left(payer: Pick<Payer, 'user' | 'groups'>): Promise<BudgetLeft[]> {
    const budgets = this.#of({ ...payer, session: '' }).filter(
      ({ rule: { of, per } }) => (of === 'user' || of === 'group') && (per === 'day' || per === 'month'),
    );
    return this.#levels(budgets);
  }

  /** What is left of each budget that holds for this call. */
  leftOfAll(payer: Payer): Promise<BudgetLeft[]> {
    return this.#levels(this.#of(payer));
  }

  async #levels(budgets: readonly Budget[]): Promise<BudgetLeft[]> {
    if (budgets.length === 0) return [];
    const levels = await this.#ledger.levels(budgets.map(({ counter }) => counter));
    return budgets.map((budget, index) => leftOf(budget, levels[index]!, this.prices));
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#payOwed();
  }

  #join(budget: Budget): { budget: Budget; place: PlaceInLine } {
    return { budget, place: this.#line.join(budget.counter.id) };
  }

  #keepTime(): void {
    this.#timer ??= setInterval(() => void this.#tick(), RENEW_MS).unref();
  }

  async #tick(): Promise<void> {
    await this.#payOwed();
    if (this.#reserved.size > 0) {
      await this.#ledger.renew([...this.#reserved], LEASE_MS).catch((error: unknown) => {
        this.#log.warn({ err: errorToData(error).message }, 'reservations of budgets are not renewed');
      });
    } else if (this.#owed.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  #owe(settlement: Settlement, error: unknown): void {
    const err = errorToData(error).message;
    if (this.#owed.size >= MAX_OWED) {
      this.#log.error({ err, used: settlement.used }, 'use is not counted against budgets: too much of it waits');
      return;
    }
    this.#log.warn({ err }, 'use is counted against budgets later');
    this.#owed.set(settlement.id, settlement);
    this.#keepTime();
  }

  async #payOwed(): Promise<void> {
    for (const settlement of this.#owed.values()) {
      try {
        await this.#ledger.settle(settlement);
        this.#owed.delete(settlement.id);
      } catch (error) {
        this.#log.warn({ err: errorToData(error).message, waiting: this.#owed.size }, 'use is not counted yet');
        return;
      }
    }
  }

  #noteReached({ user, session }: Payer, { budget, level }: { budget: Budget; level: Level }, used: Sum): void {
    const before = { tokens: level.tokens - used.tokens, nanos: level.nanos - used.nanos };
    if (!isSpent(level, budget.counter) || isSpent(before, budget.counter)) return;
    const { of, per } = budget.rule;
    audit({ what: 'budget_reached', user, session, about: { of, per, name: budget.subject } });
  }
}

const NOTHING: Level = { tokens: 0, nanos: 0 };

function spent(budget: BudgetLeft): FairleadError {
  const text = `${budgetText(budget)} is used up${resetText(budget)}${REMEDY[budget.per]}`;
  return new FairleadError('ERR_BUDGET', text, untilReset(budget));
}

const REMEDY = {
  turn: '; say «continue» to go on in another turn',
  session: '; start a new session',
  day: '',
  month: '',
} as const satisfies Record<BudgetLeft['per'], string>;

function untilReset({ resetAt }: BudgetLeft): { retryAfterMs?: number } {
  return resetAt === undefined ? {} : { retryAfterMs: Math.max(1_000, resetAt - Date.now()) };
}

function busy(budget: BudgetLeft): FairleadError {
  const text = `what is left of ${budgetText(budget)} is reserved by turns that run`;
  return new FairleadError('ERR_BUDGET', text, { retryAfterMs: 30_000 });
}
