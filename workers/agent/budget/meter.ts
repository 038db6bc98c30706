/** Counts what models and tools cost: reserves before each call, settles after it, and notes it by day. Agent threads; one for each. */
import type { Config } from '../../../src/shared/config.js';
import { isFairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { costOf, tokensOf } from '../../../src/shared/prices.js';
import type { Usage } from '../../../src/shared/protocol.js';
import { NO_USAGE } from '../log/usage.js';
import { weighText } from '../model/context-weight.js';
import type { Model, ModelEvent, ModelRequest, ModelTool } from '../model/model.js';
import type { Ledger } from '../store/ledger.js';
import { addToBill, newBill, type Bill } from './bill.js';
import type { Payer } from './budget-rules.js';
import { Budgets, type Gate, type Reserved } from './budgets.js';
import { UsageBook } from './usage-book.js';

export interface MeterOptions {
  /** After a change of its budgets or prices `applyConfig` must be called. */
  config: Pick<Config, 'budgets' | 'prices' | 'usage'>;
  ledger: Ledger;
  model: Model;
  log: Logger;
}

export interface Metered {
  payer: Payer;
  /** Complete when the answer is there or has failed. */
  bill: Bill;
  /** Ended with the stream. */
  reserved: Reserved | undefined;
}

/** What is asked of the model, as far as it is known before a place is taken. */
export interface ModelCall {
  model: string;
  system: string;
  /** Called only where a budget holds. */
  tools: () => readonly ModelTool[];
  /** Tokens, at most. */
  messages: number;
  maxTokens: number;
}

/** A priced call of a tool that may run. */
export interface OpenFee {
  /** `ran`: the server may have done something. Never rejects. */
  close(ran: boolean): Promise<Bill>;
}

export class Meter {
  readonly budgets: Budgets;
  readonly usage: UsageBook;
  readonly #model: Model;
  readonly #config: MeterOptions['config'];

  constructor({ config, ledger, model, log }: MeterOptions) {
    this.budgets = new Budgets({ config, ledger, log });
    this.usage = new UsageBook({ ledger, keepDays: () => config.usage.keepDays, log });
    this.#model = model;
    this.#config = config;
  }

  /** Prices and budgets as the configuration says now. */
  applyConfig(): void {
    this.budgets.setRules(this.#config);
  }

  /**
   * At most what the call can cost: all that is sent as new to the cache, and the longest answer. It is reserved once the gate has let the
   * call in. ERR_BUDGET, ERR_CANCELLED, ERR_UNAVAILABLE, and what the gate rejects with.
   */
  async reserve(
    payer: Payer,
    call: ModelCall,
    { signal, gate }: { signal: AbortSignal; gate: Gate },
  ): Promise<Reserved | undefined> {
    if (this.#config.budgets.length === 0) {
      await gate.enter();
      return undefined;
    }
    const { model, system, messages, maxTokens } = call;
    const inputTokens = Math.ceil(messages + weighText(system) + weighText(JSON.stringify(call.tools())));
    const price = this.budgets.prices.ofModel(model, Date.now());
    const dearest = price && { ...price, inputTokens: Math.max(price.inputTokens, price.cacheWriteTokens) };
    const nanos = dearest && costOf({ ...NO_USAGE, inputTokens, outputTokens: maxTokens }, dearest);
    return this.budgets.reserve(payer, { tokens: inputTokens + maxTokens, nanos }, { signal, gate });
  }

  /** Ends a reservation of which nothing was used. */
  async drop(reserved: Reserved | undefined): Promise<void> {
    if (reserved) await this.budgets.settle(reserved, { tokens: 0, nanos: 0 });
  }

  /** As `Model.stream`. */
  async *stream(
    request: ModelRequest,
    metered: Metered,
    signal: AbortSignal,
  ): AsyncGenerator<ModelEvent, void, undefined> {
    const { bill } = metered;
    let done: (ModelEvent & { type: 'done' }) | undefined;
    try {
      const onUsage = (usage: Usage): void => addToBill(bill, usage);
      for await (const event of this.#model.stream({ ...request, onUsage }, signal)) {
        if (event.type !== 'done') yield event;
        else done = event;
      }
    } finally {
      if (done) addToBill(bill, done.answer.usage);
      await this.#settle(metered, request.model);
    }
    if (done) yield done;
  }

  /** Undefined: the call costs nothing. ERR_BUDGET, ERR_CANCELLED, ERR_UNAVAILABLE. */
  async openFee(
    payer: Payer,
    { server, tool }: { server: string; tool: string },
    signal: AbortSignal,
  ): Promise<OpenFee | undefined> {
    const nanos = this.#config.prices.tools.length > 0 ? this.budgets.prices.ofTool(server, tool, Date.now()) : 0;
    if (nanos === 0) return undefined;
    const reserved = await this.budgets.reserve(payer, { tokens: 0, nanos }, { signal });
    return {
      close: async (ran) => {
        const bill: Bill = { ...newBill(), nanos: ran ? nanos : 0 };
        if (reserved) Object.assign(bill, await this.budgets.settle(reserved, { tokens: 0, nanos: bill.nanos! }));
        if (ran) this.usage.noteCall(payer, `${server}/${tool}`, nanos);
        return bill;
      },
    };
  }

  async close(): Promise<void> {
    await this.usage.close();
    await this.budgets.close();
  }

  async #settle({ payer, bill, reserved }: Metered, model: string): Promise<void> {
    const price = this.budgets.prices.ofModel(model, Date.now());
    if (price) bill.nanos = costOf(bill.usage, price);
    const tokens = tokensOf(bill.usage);
    if (reserved) Object.assign(bill, await this.budgets.settle(reserved, { tokens, nanos: bill.nanos ?? 0 }));
    if (tokens > 0) this.usage.noteAnswer(payer, model, bill.usage, bill.nanos);
  }
}

/** Whether a failure came before anything was asked of the server. */
export function neverRan(error: unknown): boolean {
  const codes = ['ERR_UNAVAILABLE', 'ERR_SANDBOX', 'ERR_MCP_LOGIN', 'ERR_BUDGET'] as const;
  return codes.some((code) => isFairleadError(error, code));
}
