/** Budgets and use by day in the embedded store. Agent threads. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { dayOf } from '../../../src/shared/utc-period.js';
import type {
  BudgetCounter,
  Ledger,
  Level,
  Reservation,
  Reserved,
  SettledLevel,
  Settlement,
  UsageBatch,
  UsageCounts,
  UsageKind,
  UsageRow,
} from './ledger.js';
import type { LmdbDoor } from './lmdb-credentials.js';
import { isNewBatch, levelsIn, renewIn, reserveIn, settleIn } from './lmdb-budgets.js';
import { keyDigest } from './lmdb-tables.js';
import { noteNames } from './lmdb-users.js';
import { addCounts, UsageSums } from './usage-sums.js';

/** So many models and tools of one user or group in one day; more are counted together as `*`. */
const MAX_NAMES = 100;
const MAX_REMOVED = 200;
/** Rows that are read at once. */
const PAGE = 500;

export class LmdbLedger implements Ledger {
  readonly #door: LmdbDoor;
  readonly #now: () => number;

  /** `now`: ms since the epoch. */
  constructor(door: LmdbDoor, now: () => number = Date.now) {
    this.#door = door;
    this.#now = now;
  }

  reserve(reservation: Reservation): Promise<Reserved> {
    return this.#door.write('reserve', (tables) => reserveIn(tables, reservation, this.#now()));
  }

  settle(settlement: Settlement): Promise<SettledLevel[]> {
    return this.#door.write('settle', (tables) => settleIn(tables, settlement, this.#now()));
  }

  renew(ids: readonly string[], leaseMs: number): Promise<void> {
    return this.#door.write('renew', (tables) => renewIn(tables, ids, leaseMs, this.#now()));
  }

  levels(counters: readonly BudgetCounter[]): Promise<Level[]> {
    return this.#door.read('levels', (tables) => levelsIn(tables, counters, this.#now()));
  }

  async addUsage({ id, day, entries, keepDays }: UsageBatch): Promise<void> {
    const rows = new UsageSums(entries).rows();
    await this.#door.write('addUsage', ({ usage, budgets, users }) => {
      const now = this.#now();
      if (!isNewBatch({ budgets }, id, now)) return;
      noteNames({ users }, [...new Set(entries.map(({ user }) => user))]);
      const last = dayOf(now) - keepDays;
      for (const key of Array.from(usage.getKeys({ start: [0], end: [last], limit: MAX_REMOVED }))) {
        void usage.remove(key);
      }
      for (const { kind, name, model, counts } of rows) {
        const key: UsageKey = [day, kind, keyDigest(name)];
        const { models } = usage.get(key) ?? { models: [] };
        void usage.put(key, { name, models: withCounts(models, model, counts) });
      }
    });
  }

  async forgetUser(user: string, { from, to }: { from: number; to: number }): Promise<void> {
    const digest = keyDigest(user);
    await this.#door.write('forgetUsage', ({ usage }) => {
      for (let day = from; day <= to; day++) {
        const key: UsageKey = [day, 'user', digest];
        if (usage.doesExist(key)) void usage.remove(key);
      }
    });
  }

  async readUsage(
    day: number,
    { kind, name }: { kind: UsageKind; name?: string },
    each: (row: UsageRow) => void,
  ): Promise<void> {
    const tell = ({ name, models }: StoredUsage): void => {
      for (const [model, counts] of models) each({ name, model, counts });
    };
    if (name !== undefined) {
      const found = await this.#door.read('readUsage', ({ usage }) => usage.get([day, kind, keyDigest(name)]));
      if (found) tell(found);
      return;
    }
    let after = '';
    for (;;) {
      const page = await this.#door.read('readUsage', ({ usage }) =>
        Array.from(usage.getRange({ start: [day, kind, after], end: [day, `${kind}~`], limit: PAGE + 1 })),
      );
      const fresh = page.filter(({ key }) => key[2] !== after);
      for (const { value } of fresh) tell(value);
      const last = fresh.at(-1);
      if (page.length <= PAGE || !last) return;
      after = last.key[2];
      await nextTurn();
    }
  }
}

export type UsageKey = [day: number, kind: UsageKind, digest: string];

export interface StoredUsage {
  name: string;
  models: [model: string, counts: UsageCounts][];
}

function withCounts(models: StoredUsage['models'], model: string, counts: UsageCounts): StoredUsage['models'] {
  const isKnown = models.some(([name]) => name === model);
  const name = isKnown || models.length < MAX_NAMES ? model : '*';
  const before = models.find(([each]) => each === name)?.[1];
  if (!before) return [...models, [name, counts]];
  return models.map(([each, sum]) => [each, each === name ? addCounts(sum, counts) : sum]);
}
