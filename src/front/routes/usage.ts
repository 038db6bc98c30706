/** Routes of /v1/usage and /v1/admin/usage: who has used how much. Main thread. */
import type { ReadUsageRequest, ReadUsageResult, UsageLine } from '../../../workers/agent/contract/usage.js';
import { toCsv } from '../../shared/csv.js';
import { dayOf, dayText, monthOf, monthStart, parseDay } from '../../shared/utc-period.js';
import type { Agents } from '../../threads/agents.js';
import { badFrame } from '../frames.js';
import { get, type Route, type RouteCall } from '../router.js';

/** The store is asked day by day. */
const TIMEOUT_MS = 60_000;
const MAX_DAYS = 400;
const DEFAULT_LIMIT = 1_000;
const MAX_LIMIT = 10_000;

const COLUMNS = [
  'inputTokens',
  'outputTokens',
  'cacheReadTokens',
  'cacheWriteTokens',
  'amount',
  'answers',
  'calls',
] as const satisfies readonly (keyof UsageLine)[];

export function usageRoutes(agents: Agents): Route[] {
  const read = (request: ReadUsageRequest, by: string): Promise<ReadUsageResult> =>
    agents.request(by, 'read-usage', request, { timeoutMs: TIMEOUT_MS });

  return [
    get('/v1/usage', async (call) => {
      const { user, person, exchange } = call;
      const asked = { ...askedBy(call, ['day', 'model']), user };
      const [used, { budgets }] = await Promise.all([
        read(asked, user),
        agents.request(user, 'budgets-left', { user, groups: person.groups }),
      ]);
      tell(call, asked, used, () => exchange.json(200, { ...shown(asked, used), budgets }));
    }),
    get(
      '/v1/admin/usage',
      async (call) => {
        const user = call.query.get('user');
        const given = askedBy(call, user === null ? ['user', 'group', 'model', 'day'] : ['day', 'model']);
        const asked = { ...given, ...(user === null ? {} : { user }) };
        const used = await read(asked, call.user);
        tell(call, asked, used, () => call.exchange.json(200, shown(asked, used)));
      },
      { access: 'operator' },
    ),
  ];
}

/** ERR_BAD_FRAME. Without days: this month, as far as it has gone. */
function askedBy({ query }: RouteCall, kinds: readonly ReadUsageRequest['by'][]): ReadUsageRequest {
  const by = kinds.find((kind) => kind === (query.get('by') ?? kinds[0]));
  if (by === undefined) throw badFrame(`by: must be one of ${kinds.join(', ')}`);
  const now = Date.now();
  const to = dayIn(query, 'to') ?? dayOf(now);
  const from = dayIn(query, 'from') ?? Math.min(to, dayOf(monthStart(monthOf(now))));
  if (from > to) throw badFrame('from: must not be behind to');
  if (to - from >= MAX_DAYS) throw badFrame(`from: at most ${MAX_DAYS} days are read at once`);
  const limit = Number(query.get('limit') ?? DEFAULT_LIMIT);
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) throw badFrame(`limit: must be 1 to ${MAX_LIMIT}`);
  const after = query.get('after');
  return { by, from, to, limit, ...(after === null ? {} : { after }) };
}

function dayIn(query: URLSearchParams, name: 'from' | 'to'): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  const day = parseDay(text);
  if (day === undefined) throw badFrame(`${name}: must be a day as YYYY-MM-DD`);
  return day;
}

function shown({ by, from, to }: ReadUsageRequest, { currency, rows, next }: ReadUsageResult) {
  return { by, from: dayText(from), to: dayText(to), currency, rows, ...(next === undefined ? {} : { next }) };
}

/** CSV where it is asked for, by `format` or by `Accept`. */
function tell({ exchange, query }: RouteCall, { by }: ReadUsageRequest, used: ReadUsageResult, json: () => void): void {
  const format = query.get('format');
  if (format !== null && format !== 'csv' && format !== 'json') throw badFrame('format: must be json or csv');
  if ((format ?? (/\btext\/csv\b/i.test(exchange.head.accept) ? 'csv' : 'json')) === 'json') return json();
  const rows = used.rows.map((row) => [row.name, ...COLUMNS.map((column) => row[column]), used.currency]);
  const link = used.next === undefined ? [] : ([['Fairlead-Next', encodeURIComponent(used.next)]] as const);
  return exchange.answer(200, 'text/csv; charset=utf-8', toCsv([by, ...COLUMNS, 'currency'], rows), [
    ['Content-Disposition', `attachment; filename="usage-by-${by}.csv"`],
    ...link.map(([name, value]): [string, string] => [name, value]),
  ]);
}
