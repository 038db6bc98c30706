/** What the scripts of sessions count for their user, as parts of those scripts; runs inside Redis. Agent threads. */
import { escapeText } from './row-codec.js';
import { MINUTE_MS, type CommitCount, type Counting } from './quota-counters.js';
import type { Commit } from './store.js';

/** How far Redis's clock may be set back without a time in the future being one that does not count. */
const SKEW_MS = 5_000;

/** What a server that is gone for good leaves of users who never come back. */
const TURNS_KEPT_MS = 86_400_000;

/** KEYS 5 to 7 of a commit that is counted. Only one Redis is a store, so they need not share its session's slot. */
export function countKeys(user: string): [totals: string, turns: string, messages: string] {
  const name = escapeText(user);
  return [`fairlead:quota:${name}`, `fairlead:quota-turns:${name}`, `fairlead:quota-messages:${name}`];
}

export function sandboxesKey(user: string): string {
  return `fairlead:quota-sandboxes:${escapeText(user)}`;
}

export function socketsKey(user: string): string {
  return `fairlead:quota-sockets:${escapeText(user)}`;
}

/**
 * ARGV 14 to 20: session, open turns ('': unchanged), their lease in ms, bytes of history ('': unchanged), then of a message maxTurns,
 * maxMessagesPerMinute, and maxHistoryBytes without the message's own bytes ('': no limit).
 */
export function countArgs(session: string, commit: Commit, counting: Counting): string[] {
  const { count, row } = commit;
  if (!count) return ['', '', '', '', '', '', ''];
  const { accepts } = count;
  return [
    session,
    counting.turns && row?.openTurns ? String(row.openTurns.length) : '',
    String(counting.turnLeaseMs),
    counting.history && row?.history ? String(row.history.bytes) : '',
    ...(accepts ? limitArgs(accepts) : ['', '', '']),
  ];
}

function limitArgs({
  maxTurns,
  maxMessagesPerMinute,
  maxHistoryBytes,
  bytes,
}: NonNullable<CommitCount['accepts']>): string[] {
  // A message that alone is over the limit is refused by any history, the empty one too.
  const room = maxHistoryBytes === 0 ? '' : String(maxHistoryBytes - bytes);
  return [String(maxTurns), String(maxMessagesPerMinute), room];
}

/** Fields of the row that say what of it is in its user's counts. */
export function countFields(commit: Commit, counting: Counting): string[] {
  const { count, row } = commit;
  if (!count) return [];
  return [
    ...(counting.turns && row?.openTurns ? ['opened', String(row.openTurns.length)] : []),
    ...(counting.history && row?.history ? ['counted', String(row.history.bytes)] : []),
  ];
}

/**
 * Before the first write; `row` has `counted` and `opened` in places 9 and 10. A member of the turns is `session:1`, `session:2` …, one
 * for each open turn; its score is when it counts no more. A score or time that no clock of ours has set, since Redis's own has
 * jumped, does not count.
 */
export const COUNT_CHECK = `
local totals, turnsKey, sentKey = KEYS[5], KEYS[6], KEYS[7]
local maxTurns, maxSent, room = tonumber(ARGV[18]) or 0, tonumber(ARGV[19]) or 0, tonumber(ARGV[20])
local open, dead, uncounted = tonumber(ARGV[15]), {}, 0
if open and maxTurns > 0 then
  local mine, others, latest = ARGV[14] .. ':', 0, now + ARGV[16] + ${SKEW_MS}
  local found = redis.call('ZRANGE', turnsKey, 0, -1, 'WITHSCORES')
  for i = 1, #found, 2 do
    local ends = tonumber(found[i + 1])
    if ends <= now or ends > latest then dead[#dead + 1] = found[i]
    elseif string.sub(found[i], 1, #mine) ~= mine then others = others + 1 end
  end
  if others + open > maxTurns then return {'over', now, 'maxTurns', due, maxTurns, others + open - 1, 0} end
end
if maxSent > 0 then
  local first = tonumber(redis.call('LINDEX', sentKey, -maxSent) or 0)
  if first <= now + ${SKEW_MS} and first > now - ${MINUTE_MS} then
    return {'over', now, 'maxMessagesPerMinute', due, maxSent, maxSent, first + ${MINUTE_MS}}
  end
end
if room then
  local sums = redis.call('HMGET', totals, 'history', 'complete')
  local used = tonumber(sums[1] or 0)
  if used > room then return {'over', now, 'maxHistoryBytes', due, 0, used, 0} end
  if not sums[2] then uncounted = 1 end
end`;

/** After the first write. */
export const COUNT_WRITE = `
if open then
  local before = tonumber(row[10] or 0)
  if #dead > 0 then redis.call('ZREM', turnsKey, unpack(dead)) end
  if open > 0 then
    local turns = {}
    for i = 1, open do
      turns[#turns + 1] = string.format('%.0f', now + ARGV[16])
      turns[#turns + 1] = ARGV[14] .. ':' .. i
    end
    redis.call('ZADD', turnsKey, unpack(turns))
    if open > before then redis.call('PEXPIRE', turnsKey, ${TURNS_KEPT_MS}) end
  end
  for i = open + 1, before do redis.call('ZREM', turnsKey, ARGV[14] .. ':' .. i) end
end
if maxSent > 0 then
  local sent = redis.call('RPUSH', sentKey, string.format('%.0f', now))
  if sent > maxSent then redis.call('LTRIM', sentKey, -maxSent, -1) end
  redis.call('PEXPIRE', sentKey, ${MINUTE_MS})
end
if ARGV[17] ~= '' and ARGV[17] ~= row[9] then redis.call('HINCRBY', totals, 'history', ARGV[17] - (row[9] or 0)) end`;

/** Before a session's keys go. */
export const COUNT_DELETE = `
if KEYS[5] then
  local sums = redis.call('HMGET', KEYS[1], 'counted', 'saved')
  if sums[1] then redis.call('HINCRBY', KEYS[5], 'history', -sums[1]) end
  if sums[2] then redis.call('HINCRBY', KEYS[5], 'saved', -sums[2]) end
  local open = 1
  while redis.call('ZREM', KEYS[6], ARGV[2] .. ':' .. open) == 1 do open = open + 1 end
end`;
