/** Counters of users in Redis that no commit writes: sandboxes, connections, saved workspaces. Agent threads. */
import type { Background } from './background.js';
import type { Quota, QuotaExcess } from '../../../src/shared/quotas.js';
import {
  CLAIM_MS,
  type QuotaCounters,
  type SandboxClaim,
  type SocketClaim,
  type UserCounts,
} from './quota-counters.js';
import { countKeys, sandboxesKey, socketsKey } from './redis-count.js';
import { userKey } from './redis-indexes.js';
import type { RedisCall, RedisLink } from './redis-link.js';
import { IN_TIME, script } from './redis-scripts.js';

/** A day: what a server that has crashed leaves of users who never come back. A count that lives is set anew with each connection. */
const SOCKETS_KEPT_MS = 86_400_000;

/**
 * KEYS sandboxes, totals, row. ARGV 2 member, 3 CLAIM_MS, 4 maxSandboxes, 5 maxWorkspaceBytes, 6 field of the server's save
 * → {'ok', now} | {'over', now, limit, used} | {'late', now}
 */
const CLAIM = script(
  'claim-sandbox',
  `${IN_TIME}
local max, maxBytes = tonumber(ARGV[4]), tonumber(ARGV[5])
if maxBytes > 0 and not redis.call('HGET', KEYS[3], ARGV[6]) then
  local used = tonumber(redis.call('HGET', KEYS[2], 'saved') or 0)
  if used >= maxBytes then return {'over', now, 'maxWorkspaceBytes', used} end
end
for _, dead in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', string.format('(%.0f', now), 'BYSCORE')) do
  redis.call('ZREM', KEYS[1], dead)
end
-- One that ends later than it could was claimed before the clock was set back.
local latest = string.format('(%.0f', now + ARGV[3] + 1)
for _, odd in ipairs(redis.call('ZRANGE', KEYS[1], latest, '+inf', 'BYSCORE')) do redis.call('ZREM', KEYS[1], odd) end
if max > 0 and not redis.call('ZSCORE', KEYS[1], ARGV[2]) and redis.call('ZRANGE', KEYS[1], max - 1, max - 1)[1] then
  return {'over', now, 'maxSandboxes', #redis.call('ZRANGE', KEYS[1], 0, -1)}
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[3]), ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {'ok', now}`,
);

/** KEYS sandboxes. ARGV 2 CLAIM_MS, 3… members → {'ok', now} | {'late', now} */
const RENEW = script(
  'renew-sandboxes',
  `${IN_TIME}
for i = 3, #ARGV do redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {'ok', now}`,
);

/** KEYS row, totals. ARGV 2 field of the server's save, 3 bytes → {'ok', now} | {'late', now} */
const NOTE_SAVED = script(
  'note-saved',
  `${IN_TIME}
local row = redis.call('HMGET', KEYS[1], 'user', ARGV[2])
if not row[1] or (row[2] or '0') == ARGV[3] then return {'ok', now} end
local change = ARGV[3] - (row[2] or 0)
redis.call('HINCRBY', KEYS[1], 'saved', change)
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
redis.call('HINCRBY', KEYS[2], 'saved', change)
return {'ok', now}`,
);

/** KEYS sockets, servers. ARGV 2 server, 3 CLAIM_MS, 4 open here, 5 maxSockets or 0 → {'ok', now} | {'over', now, used} | {'late', now} */
const CLAIM_SOCKETS = script(
  'claim-sockets',
  `${IN_TIME}
local open, max, others = tonumber(ARGV[4]), tonumber(ARGV[5]), 0
if max > 0 then
  local counts = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
  for i = 1, #counts, 2 do
    local seen = tonumber(redis.call('ZSCORE', KEYS[2], counts[i]) or 0)
    local lives = seen > now - ARGV[3] and seen < now + ARGV[3]
    -- A server that says nothing any more is gone, and its connections with it.
    if counts[i] ~= ARGV[2] then
      if lives then others = others + counts[i + 1] else redis.call('ZREM', KEYS[1], counts[i]) end
    end
  end
  if others + open > max then return {'over', now, others + open - 1} end
end
redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[2])
if open > 0 then redis.call('ZADD', KEYS[1], ARGV[4], ARGV[2]) else redis.call('ZREM', KEYS[1], ARGV[2]) end
redis.call('PEXPIRE', KEYS[1], ${SOCKETS_KEPT_MS})
return {'ok', now}`,
);

/** KEYS servers. ARGV 2 server, 3 its name without the run, with the # → {'ok', now} | {'late', now}. Earlier runs of it are over. */
const BEAT = script(
  'beat',
  `${IN_TIME}
for _, server in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local isOlder = server ~= ARGV[2] and string.sub(server, 1, #ARGV[3]) == ARGV[3]
  if isOlder or tonumber(redis.call('ZSCORE', KEYS[1], server)) < now - ${SOCKETS_KEPT_MS} then
    redis.call('ZREM', KEYS[1], server)
  end
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[2])
return {'ok', now}`,
);

/** KEYS row, totals. Counts the history of a session that no commit has counted yet → {'ok', now} | {'late', now} */
const COUNT_ROW = script(
  'count-row',
  `${IN_TIME}
local row = redis.call('HMGET', KEYS[1], 'history', 'counted')
local bytes = row[1] and string.match(row[1], '"bytes":(%d+)')
if bytes and not row[2] then
  redis.call('HSET', KEYS[1], 'counted', bytes)
  redis.call('HINCRBY', KEYS[2], 'history', bytes)
end
return {'ok', now}`,
);

/** Beside the sealing of histories. */
const MAX_COUNTING = 16;
const SERVERS_KEY = 'fairlead:quota-servers';

export class RedisCounters implements QuotaCounters {
  readonly #link: RedisLink;
  readonly #rowKey: (session: string) => string;

  constructor(link: RedisLink, rowKey: (session: string) => string) {
    this.#link = link;
    this.#rowKey = rowKey;
  }

  claimSandbox(
    claim: SandboxClaim,
    { maxSandboxes, maxWorkspaceBytes }: Pick<Quota, 'maxSandboxes' | 'maxWorkspaceBytes'>,
  ): Promise<QuotaExcess | undefined> {
    const { user, session, server } = claim;
    return this.#link.call('claimSandbox', async (call) => {
      type Reply = ['ok', number] | ['over', number, 'maxSandboxes' | 'maxWorkspaceBytes', number];
      const keys = [sandboxesKey(user), countKeys(user)[0], this.#rowKey(session)];
      const args = [memberOf(claim), CLAIM_MS, maxSandboxes, maxWorkspaceBytes, savedField(server)].map(String);
      const [outcome, , limit, used] = await call.write<Reply>(CLAIM, keys, args);
      if (outcome === 'ok' || limit === undefined || used === undefined) return undefined;
      return { limit, max: limit === 'maxSandboxes' ? maxSandboxes : maxWorkspaceBytes, used };
    });
  }

  async renewSandboxes(claims: readonly SandboxClaim[]): Promise<void> {
    const byUser = new Map<string, SandboxClaim[]>();
    for (const claim of claims) byUser.set(claim.user, [...(byUser.get(claim.user) ?? []), claim]);
    await this.#link.call('renewSandboxes', (call) =>
      Promise.all(
        Array.from(byUser, ([user, held]) =>
          call.write(RENEW, [sandboxesKey(user)], [String(CLAIM_MS), ...held.map(memberOf)]),
        ),
      ),
    );
  }

  async releaseSandbox(claim: SandboxClaim): Promise<void> {
    await this.#link.call('releaseSandbox', (call) => call.send(['ZREM', sandboxesKey(claim.user), memberOf(claim)]));
  }

  async noteSaved(session: string, server: string, bytes: number): Promise<void> {
    const row = this.#rowKey(session);
    await this.#link.call('noteSaved', async (call) => {
      const user = await call.send<string | null>(['HGET', row, 'user']);
      if (user === null) return;
      await call.write(NOTE_SAVED, [row, `fairlead:quota:${user}`], [savedField(server), String(bytes)]);
    });
  }

  claimSockets({ server, user, open }: SocketClaim, maxSockets: number): Promise<QuotaExcess | undefined> {
    return this.#link.call('claimSockets', async (call) => {
      type Reply = ['ok', number] | ['over', number, number];
      const args = [server, CLAIM_MS, open, maxSockets].map(String);
      const [outcome, , used] = await call.write<Reply>(CLAIM_SOCKETS, [socketsKey(user), SERVERS_KEY], args);
      return outcome === 'ok' || used === undefined ? undefined : { limit: 'maxSockets', max: maxSockets, used };
    });
  }

  async renewSockets(server: string, claims: readonly Omit<SocketClaim, 'server'>[]): Promise<void> {
    const instance = server.slice(0, server.lastIndexOf('#') + 1);
    await this.#link.call('renewSockets', (call) =>
      Promise.all([
        call.write(BEAT, [SERVERS_KEY], [server, instance]),
        ...claims.map(({ user, open }) => {
          const args = [server, CLAIM_MS, open, 0].map(String);
          return call.write(CLAIM_SOCKETS, [socketsKey(user), SERVERS_KEY], args);
        }),
      ]),
    );
  }

  readCounts(user: string): Promise<UserCounts> {
    const [totals, turns] = countKeys(user);
    return this.#link.call('readCounts', async (call) => {
      const [sums, open, sandboxes, sessions] = await Promise.all([
        call.send<(string | null)[]>(['HMGET', totals, 'saved', 'history']),
        call.send<string[]>(['ZRANGE', turns, '0', '-1']),
        call.send<string[]>(['ZRANGE', sandboxesKey(user), '0', '-1']),
        call.send<string[]>(['ZRANGE', userKey(user), '0', '-1']),
      ]);
      return {
        sessions: sessions.length,
        turns: open.length,
        sandboxes: sandboxes.length,
        workspaceBytes: Number(sums[0] ?? 0),
        historyBytes: Number(sums[1] ?? 0),
      };
    });
  }

  async forgetUser(user: string): Promise<void> {
    const keys = [...countKeys(user), sandboxesKey(user), socketsKey(user)];
    await this.#link.call('forgetCounts', (call) => call.send(['DEL', ...keys]));
  }

  /** Counts the sessions that were stored before anything was counted; once for each user. */
  startCounting(user: string, background: Background): void {
    background.startOnce('count', `count ${user}`, MAX_COUNTING, () => this.#countUser(user));
  }

  async #countUser(user: string): Promise<void> {
    const [totals] = countKeys(user);
    const count = async (call: RedisCall): Promise<void> => {
      const sessions = await call.send<string[]>(['ZRANGE', userKey(user), '0', '-1']);
      for (const session of sessions) await call.write(COUNT_ROW, [this.#rowKey(session), totals], []);
      await call.send(['HSET', totals, 'complete', '1']);
    };
    await this.#link.call('countUser', count, { background: true });
  }
}

function memberOf({ session, server }: SandboxClaim): string {
  return `${session} ${server}`; // neither contains a space
}

function savedField(server: string): string {
  return `saved:${server}`;
}

export function excessOf(
  [, , limit, , max, used, resetAt]: readonly ['over', number, QuotaExcess['limit'], string, number, number, number],
  maxHistoryBytes: number,
): QuotaExcess {
  if (limit === 'maxHistoryBytes') return { limit, max: maxHistoryBytes, used };
  return { limit, max, used, ...(resetAt > 0 && { resetAt }) };
}
