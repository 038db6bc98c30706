/** The Lua scripts of the table of credentials. Runs inside Redis. */
import { IN_TIME, script } from './redis-scripts.js';

/**
 * KEYS head, changes, ends, entry.
 * ARGV 2 nonce, 3 the entry's name, 4 value, 5 endsAt or '', 6 'any' writes, 'absent' writes where there is none, 'there' leaves
 *      a tombstone where there is one, 7 what stands before an entry's name in its key, 8 most entries, 9 ms that a tombstone
 *      stays, 10 how many ended entries to forget
 * → {'ok', now, change} | {'exists' | 'absent' | 'full', now} | {'late', now}
 *
 * A tombstone is an entry with an empty value. It uses no command that the sessions' scripts do not use, so that a user whose
 * rights were given for an earlier version has them all.
 */
export const WRITE_CREDENTIAL = script(
  'write-credential',
  `${IN_TIME}
local head = redis.call('HMGET', KEYS[1], 'change', 'count')
local old = redis.call('HMGET', KEYS[4], 'value', 'nonce', 'change', 'endsAt')
-- The same write: its reply was lost, and it is sent again.
if old[2] == ARGV[2] then return {'ok', now, tonumber(old[3])} end
local live = old[1] and old[1] ~= '' and ((old[4] or '') == '' or tonumber(old[4]) > now)
if ARGV[6] == 'absent' and live then return {'exists', now} end
if ARGV[6] == 'there' and not live then return {'absent', now} end
local count = tonumber(head[2] or 0)
if not old[1] and count >= tonumber(ARGV[8]) then return {'full', now} end
local endsAt = ARGV[5]
if ARGV[6] == 'there' then endsAt = string.format('%.0f', now + tonumber(ARGV[9])) end
-- By the clock, so that a Redis that lost its newest writes does not give the same numbers to others.
local change = string.format('%.0f', math.max(tonumber(head[1] or 0) + 1, now))
redis.call('HSET', KEYS[4], 'value', ARGV[4], 'nonce', ARGV[2], 'change', change, 'endsAt', endsAt, 'usedAt', '', 'usedFrom', '')
redis.call('ZADD', KEYS[2], change, ARGV[3])
if endsAt == '' then redis.call('ZREM', KEYS[3], ARGV[3]) else redis.call('ZADD', KEYS[3], endsAt, ARGV[3]) end
if not old[1] then count = count + 1 end
for _, name in ipairs(redis.call('ZRANGE', KEYS[3], '-inf', string.format('%.0f', now), 'BYSCORE', 'LIMIT', 0, ARGV[10])) do
  redis.call('UNLINK', ARGV[7] .. name)
  redis.call('ZREM', KEYS[2], name)
  redis.call('ZREM', KEYS[3], name)
  count = count - 1
end
redis.call('HSET', KEYS[1], 'change', change, 'count', string.format('%.0f', math.max(count, 0)))
return {'ok', now, tonumber(change)}`,
);

/** KEYS entries. ARGV 2… when and from where each was used → {'ok', now} | {'late', now} */
export const NOTE_USES = script(
  'note-uses',
  `${IN_TIME}
for i, key in ipairs(KEYS) do
  local at = ARGV[2 * i]
  local old = redis.call('HMGET', key, 'value', 'usedAt')
  if old[1] and old[1] ~= '' and (tonumber(old[2]) or 0) < tonumber(at) then
    redis.call('HSET', key, 'usedAt', at, 'usedFrom', ARGV[2 * i + 1])
  end
end
return {'ok', now}`,
);
