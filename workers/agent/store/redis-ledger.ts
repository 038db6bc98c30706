/** Budgets and use by day in Redis. Agent threads. */
import { dayStart } from '../../../src/shared/utc-period.js';
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
import { keyDigest } from './lmdb-tables.js';
import { ADD_USAGE, COUNTS, LEASES_KEY, LEVELS, RENEW, RESERVE, SETTLE } from './redis-budget-scripts.js';
import type { RedisLink } from './redis-link.js';
import { RedisUsers } from './redis-users.js';
import { escapeText, unescapeText } from './row-codec.js';
import { UsageSums } from './usage-sums.js';

const USAGE = 'fairlead:{usage}:';
const KINDS: readonly UsageKind[] = ['user', 'group', 'all'];
/** Rows of one script, which nothing else runs beside. */
const MAX_ROWS = 200;
const SCANNED = '500';
/** That are written to at once. */
const MAX_DAYS = 500;

export class RedisLedger implements Ledger {
  readonly #link: Pick<RedisLink, 'call'>;

  constructor(link: Pick<RedisLink, 'call'>) {
    this.#link = link;
  }

  reserve({ id, estimate, counters, leaseMs }: Reservation): Promise<Reserved> {
    const args = [id, ...[leaseMs, estimate.tokens, estimate.nanos].map(String), ...counters.flatMap(argsOf)];
    return this.#link.call('reserve', async (call) => {
      type Refused = ['spent' | 'held', number, at: number, tokens: number, nanos: number, endsAt: number];
      const reply = await call.write<['reserved', number, ...string[]] | Refused>(RESERVE, [LEASES_KEY], args);
      if (reply[0] === 'reserved') return { state: 'reserved', places: reply.slice(2) as string[] };
      const [state, , at, ...level] = reply;
      return { state, at, level: levelOf(level) };
    });
  }

  settle({ id, used, counters, places }: Settlement): Promise<SettledLevel[]> {
    const each = counters.flatMap((counter, index) => [...argsOf(counter), places[index]!]);
    return this.#link.call('settle', async (call) => {
      type Reply = ['ok', number, ...(number | string)[]];
      const args = [id, String(used.tokens), String(used.nanos), ...each];
      const [, , ...flat] = await call.write<Reply>(SETTLE, [LEASES_KEY], args);
      return counters.map((_, index) => {
        const [tokens, nanos, endsAt, crossed] = flat.slice(index * 4) as [number, number, number, string];
        return { ...levelOf([tokens, nanos, endsAt]), crossed: crossed === '1' };
      });
    });
  }

  async renew(ids: readonly string[], leaseMs: number): Promise<void> {
    await this.#link.call('renew', (call) =>
      call.write<['ok', number]>(RENEW, [LEASES_KEY], [String(leaseMs), ...ids]),
    );
  }

  levels(counters: readonly BudgetCounter[]): Promise<Level[]> {
    const args = counters.flatMap(({ id, per }) => [keyDigest(id), per]);
    return this.#link.call('levels', async (call) => {
      const [, , ...flat] = await call.write<['ok', number, ...number[]]>(LEVELS, [LEASES_KEY], args);
      return counters.map((_, index) => levelOf(flat.slice(index * 3) as [number, number, number]));
    });
  }

  async addUsage({ id, day, entries, keepDays }: UsageBatch): Promise<void> {
    // First: who is in no list could not be found by their use.
    await new RedisUsers(this.#link).note([...new Set(entries.map(({ user }) => user))]);
    const rows = new UsageSums(entries).rows();
    const ttlMs = String(Math.max(1, dayStart(day + 1 + keepDays) - Date.now()));
    for (let first = 0; first < rows.length; first += MAX_ROWS) {
      const args = rows
        .slice(first, first + MAX_ROWS)
        .flatMap(({ kind, name, model, counts }) => [
          String(KINDS.indexOf(kind) + 2),
          escapeText(name),
          encodeName(model),
          ...counts.map(String),
        ]);
      const keys = [`${USAGE}batch:${id}:${first}`, ...KINDS.map((kind) => dayKey(day, kind))];
      await this.#link.call('addUsage', (call) => call.write<['ok', number]>(ADD_USAGE, keys, [ttlMs, ...args]));
    }
  }

  async forgetUser(user: string, { from, to }: { from: number; to: number }): Promise<void> {
    const field = escapeText(user);
    for (let first = from; first <= to; first += MAX_DAYS) {
      const days = Array.from({ length: Math.min(MAX_DAYS, to - first + 1) }, (_, index) => first + index);
      await this.#link.call('forgetUsage', (call) =>
        Promise.all(days.map((day) => call.send(['HDEL', dayKey(day, 'user'), field]))),
      );
    }
  }

  async readUsage(
    day: number,
    { kind, name }: { kind: UsageKind; name?: string },
    each: (row: UsageRow) => void,
  ): Promise<void> {
    const key = dayKey(day, kind);
    const tell = (field: string, value: string): void => {
      for (const part of value.split(';')) {
        const [model = '', numbers = ''] = part.split('=');
        each({ name: unescapeText(field), model: decodeURIComponent(model), counts: countsOf(numbers) });
      }
    };
    if (name !== undefined) {
      const field = escapeText(name);
      const value = await this.#link.call('readUsage', (call) => call.send<string | null>(['HGET', key, field]));
      if (value !== null) tell(field, value);
      return;
    }
    const seen = new Set<string>(); // a scan may tell of a field twice
    let cursor = '0';
    do {
      const at = cursor;
      const [next, flat] = await this.#link.call('readUsage', (call) =>
        call.send<[string, string[]]>(['HSCAN', key, at, 'COUNT', SCANNED]),
      );
      for (let i = 0; i < flat.length; i += 2) {
        if (seen.has(flat[i]!)) continue;
        seen.add(flat[i]!);
        tell(flat[i]!, flat[i + 1]!);
      }
      cursor = next;
    } while (cursor !== '0');
  }
}

function argsOf({ id, per, tokens, nanos }: BudgetCounter): string[] {
  return [keyDigest(id), per, String(tokens ?? ''), String(nanos ?? '')];
}

function levelOf([tokens, nanos, endsAt]: readonly [number, number, number]): Level {
  return { tokens, nanos, ...(endsAt === 0 ? {} : { endsAt }) };
}

function dayKey(day: number, kind: UsageKind): string {
  return `${USAGE}${day}:${kind}`;
}

/** A value's `=`, `;` and `,` are its own. */
function encodeName(model: string): string {
  return encodeURIComponent(model.toWellFormed()) || '-';
}

function countsOf(numbers: string): UsageCounts {
  const counts = numbers.split(',').map(Number);
  return Array.from({ length: COUNTS }, (_, index) => counts[index] ?? 0) as UsageCounts;
}
