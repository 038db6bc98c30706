/** Sums use by user, group and model, so that each row is written once. Pure; agent threads. */
import type { UsageCounts, UsageEntry, UsageKind, UsageRow } from './ledger.js';

export type KindRow = UsageRow & { kind: UsageKind };

export class UsageSums {
  readonly #rows = new Map<string, KindRow>();

  constructor(entries: readonly UsageEntry[]) {
    for (const { user, groups, model, counts } of entries) {
      this.#add({ kind: 'user', name: user, model, counts });
      for (const name of new Set(groups)) this.#add({ kind: 'group', name, model, counts });
      this.#add({ kind: 'all', name: '', model, counts });
    }
  }

  rows(): KindRow[] {
    return [...this.#rows.values()];
  }

  #add(row: KindRow): void {
    const key = JSON.stringify([row.kind, row.name, row.model]);
    const before = this.#rows.get(key);
    this.#rows.set(key, before ? { ...row, counts: addCounts(before.counts, row.counts) } : row);
  }
}

export function addCounts(a: Readonly<UsageCounts>, b: Readonly<UsageCounts>): UsageCounts {
  return a.map((count, index) => count + b[index]!) as UsageCounts;
}
