/** What the main thread may ask of an agent thread about a user as a whole. Agent threads. */
import type { Config } from '../../../src/shared/config.js';
import { toAmount } from '../../../src/shared/prices.js';
import type { RequestHandlers } from '../../../src/shared/threads/channel.js';
import { dayOf, monthOf, monthStart } from '../../../src/shared/utc-period.js';
import type { Meter } from '../budget/meter.js';
import type { AgentContract } from '../contract/messages.js';
import type { UserFacts } from '../contract/usage.js';
import type { UsageCounts } from '../store/ledger.js';
import type { Store } from '../store/store.js';
import { addCounts } from '../store/usage-sums.js';
import type { UserDirectory } from './user-directory.js';

export interface UserRequestsOptions {
  store: Pick<Store, 'listSessions' | 'counters' | 'ledger' | 'users'>;
  directory: Pick<UserDirectory, 'list'>;
  meter: Pick<Meter, 'usage'>;
  config: Pick<Config, 'usage' | 'prices'>;
}

export function userRequests({ store, directory, meter, config }: UserRequestsOptions) {
  return {
    'list-users': (request) => directory.list(request),
    'user-facts': async ({ user }) => {
      await meter.usage.flush();
      const [{ sessions, workspaceBytes, historyBytes }, newest, usage] = await Promise.all([
        store.counters.readCounts(user),
        store.listSessions(user, { limit: 1 }),
        usageOf(store.ledger, user, config),
      ]);
      const lastActiveAt = newest.sessions[0]?.lastActiveAt;
      return { sessions, workspaceBytes, historyBytes, ...usage, ...(lastActiveAt !== undefined && { lastActiveAt }) };
    },
    'forget-user': async ({ user }) => {
      await meter.usage.settle();
      await store.counters.forgetUser(user);
      await store.ledger.forgetUser(user, remembered(config));
      await store.users.forget(user);
      return null;
    },
  } satisfies Partial<RequestHandlers<AgentContract>>;
}

/** One day more at both ends, for clocks that differ. */
function remembered({ usage }: Pick<Config, 'usage'>): { from: number; to: number } {
  const today = dayOf(Date.now());
  return { from: today - usage.keepDays - 1, to: today + 1 };
}

async function usageOf(
  ledger: Store['ledger'],
  user: string,
  config: UserRequestsOptions['config'],
): Promise<Pick<UserFacts, 'usage' | 'hasUsed'>> {
  const { from, to } = remembered(config);
  const month = dayOf(monthStart(monthOf(Date.now())));
  const usedOn = async (day: number): Promise<UsageCounts[]> => {
    const rows: UsageCounts[] = [];
    await ledger.readUsage(day, { kind: 'user', name: user }, ({ counts }) => rows.push(counts));
    return rows;
  };
  let sum: UsageCounts | undefined;
  for (let day = month; day <= to; day++) {
    for (const counts of await usedOn(day)) sum = sum ? addCounts(sum, counts) : counts;
  }
  if (!sum) {
    let day = month - 1;
    while (day >= from && (await usedOn(day)).length === 0) day--;
    return { hasUsed: day >= from };
  }
  const [inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, nanos, answers, calls] = sum;
  const tokens = { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens };
  const { currency } = config.prices;
  return { hasUsed: true, usage: { name: user, ...tokens, amount: toAmount(nanos), answers, calls, currency } };
}
