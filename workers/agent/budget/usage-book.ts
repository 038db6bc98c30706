/** Gathers what is used and writes it once a second, off the path of every turn. Agent threads; one for each. */
import { randomUUID } from 'node:crypto';
import { errorToData } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import type { Usage } from '../../../src/shared/protocol.js';
import { dayOf } from '../../../src/shared/utc-period.js';
import type { Ledger, UsageBatch, UsageCounts, UsageEntry } from '../store/ledger.js';
import { addCounts } from '../store/usage-sums.js';
import type { Payer } from './budget-rules.js';

const FLUSH_MS = 1_000;
/** Users and models of which something is not written yet. */
const MAX_OPEN = 20_000;

export class UsageBook {
  readonly #ledger: Pick<Ledger, 'addUsage'>;
  readonly #keepDays: () => number;
  readonly #log: Logger;
  #open = new Map<string, { day: number; entry: UsageEntry }>();
  /** In order; the first is on its way, or was refused. */
  readonly #batches: UsageBatch[] = [];
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> | undefined;

  constructor({ ledger, keepDays, log }: { ledger: Pick<Ledger, 'addUsage'>; keepDays: () => number; log: Logger }) {
    this.#ledger = ledger;
    this.#keepDays = keepDays;
    this.#log = log;
  }

  noteAnswer(payer: Payer, model: string, usage: Usage, nanos = 0): void {
    const { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens } = usage;
    this.#note(payer, model, [inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, nanos, 1, 0]);
  }

  noteCall(payer: Payer, tool: string, nanos: number): void {
    this.#note(payer, tool, [0, 0, 0, 0, nanos, 0, 1]);
  }

  /** Never rejects: what the store does not take is kept for the next time. */
  flush(): Promise<void> {
    this.#flushing ??= this.#flush().finally(() => (this.#flushing = undefined));
    return this.#flushing;
  }

  /** Everything that was noted before the call is written, unless the store takes nothing. Never rejects. */
  async settle(): Promise<void> {
    await this.flush();
    await this.flush(); // what was noted while the first one ran
  }

  async close(): Promise<void> {
    await this.settle();
    clearTimeout(this.#timer);
  }

  #note({ user, groups }: Payer, model: string, counts: UsageCounts): void {
    const day = dayOf(Date.now());
    const key = JSON.stringify([day, user, groups, model]);
    const before = this.#open.get(key);
    if (!before && this.#open.size >= MAX_OPEN) {
      this.#log.error({ user }, 'use is not recorded: the store takes none, and too much of it waits');
      return;
    }
    const entry = { user, groups, model, counts: before ? addCounts(before.entry.counts, counts) : counts };
    this.#open.set(key, { day, entry });
    this.#timer ??= setTimeout(() => void this.flush(), FLUSH_MS).unref();
  }

  async #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    // While an earlier batch is refused, new use is gathered in place of more batches.
    if (this.#batches.length === 0) this.#takeOpen();
    try {
      for (let batch = this.#batches[0]; batch; batch = this.#batches[0]) {
        await this.#ledger.addUsage(batch);
        this.#batches.shift();
      }
    } catch (error) {
      this.#log.warn({ err: errorToData(error).message }, 'use is recorded later');
    }
    if (this.#batches.length + this.#open.size === 0) return;
    this.#timer ??= setTimeout(() => void this.flush(), FLUSH_MS).unref();
  }

  #takeOpen(): void {
    const open = [...this.#open.values()];
    this.#open = new Map();
    for (const day of new Set(open.map((each) => each.day))) {
      const entries = open.filter((each) => each.day === day).map(({ entry }) => entry);
      this.#batches.push({ id: randomUUID(), day, keepDays: this.#keepDays(), entries });
    }
  }
}
