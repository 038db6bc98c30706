/** The Lua scripts of the Redis store: each is one atomic step on one session's keys. Text; runs inside Redis. */
import { createHash } from 'node:crypto';

export interface Script {
  name: string;
  lua: string;
  sha1: string;
}

/**
 * ARGV[1] of what writes is the caller's deadline on Redis's clock, ms: a command that lay in a hung server's buffer must not be
 * carried out once its caller has been told that it failed.
 */
const IN_TIME = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {'late', now} end
`;

/**
 * KEYS row, history, events, ids.
 * ARGV 2 maxEvents, 3 maxAgeMs, 4 maxMessageIds, 5 clear history '1'/'0', 6 block or '', 7 its content's bytes,
 *      8 message id or '' with 9 its turn, 10 count of row arguments, then those (field, value …), then the events (seq, json …).
 * → {'ok', now, user, unsealed bytes} | {'duplicate', now, turn} | {'conflict', now, why} | {'late', now}
 *
 * The first write is one that Redis refuses when it is out of memory; a script that has written is let through to its end.
 */
export const COMMIT = script(
  'commit',
  `${IN_TIME}
local row = redis.call('HMGET', KEYS[1], 'seq', 'user', 'trimAt')
if not row[1] then return {'conflict', now, 'is not there'} end
if ARGV[9] ~= '' then
  local turn = redis.call('ZSCORE', KEYS[4], ARGV[8])
  if turn then return {'duplicate', now, tonumber(turn)} end
end
local firstEvent = 11 + tonumber(ARGV[10])
local seq = row[1]
if ARGV[firstEvent] then
  if tonumber(ARGV[firstEvent]) ~= tonumber(seq) + 1 then return {'conflict', now, 'has seq ' .. seq .. ' already'} end
  local at = string.format('%.0f', now)
  for i = firstEvent, #ARGV, 2 do
    seq = ARGV[i]
    local added = redis.pcall('XADD', KEYS[3], seq .. '-0', 't', at, 'e', ARGV[i + 1])
    if type(added) == 'table' and added.err then
      if i == firstEvent and string.find(added.err, 'equal or smaller') then return {'conflict', now, 'has a log past its row'} end
      return added
    end
  end
end
redis.call('HSET', KEYS[1], 'seq', seq, unpack(ARGV, 11, firstEvent - 1))
if ARGV[9] ~= '' then
  redis.call('ZADD', KEYS[4], ARGV[9], ARGV[8])
  redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -1 - tonumber(ARGV[4]))
end
if ARGV[5] == '1' then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'tailBlocks', 0, 'tailBytes', 0)
  redis.call('HINCRBY', KEYS[1], 'generation', 1)
end
if ARGV[6] ~= '' then
  redis.call('RPUSH', KEYS[2], ARGV[6])
  redis.call('HINCRBY', KEYS[1], 'tailBlocks', 1)
  redis.call('HINCRBY', KEYS[1], 'tailBytes', ARGV[7])
end
redis.call('XTRIM', KEYS[3], 'MAXLEN', ARGV[2])
-- By age: the oldest event is only looked at when it may be too old, so the cost is that of the trimmed ones.
local maxAge = tonumber(ARGV[3])
if now >= tonumber(row[3] or 0) then
  local trimAt = now + maxAge
  local oldest = redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', 1)[1]
  while oldest do
    local at = tonumber(oldest[2][2])
    if at > now - maxAge then
      trimAt = at + maxAge
      break
    end
    redis.call('XDEL', KEYS[3], oldest[1])
    oldest = redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', 1)[1]
  end
  redis.call('HSET', KEYS[1], 'trimAt', string.format('%.0f', trimAt))
end
return {'ok', now, row[2], tonumber(redis.call('HGET', KEYS[1], 'tailBytes') or 0)}`,
);

/** KEYS row. ARGV 2… field, value … → {'ok'|'conflict'|'late', now} */
export const CREATE = script(
  'create',
  `${IN_TIME}
if redis.call('EXISTS', KEYS[1]) == 1 then return {'conflict', now} end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return {'ok', now}`,
);

/** KEYS row. ARGV 2 lastActiveAt → {'ok', now, user} | {'gone', now} | {'late', now} */
export const TOUCH = script(
  'touch',
  `${IN_TIME}
local user = redis.call('HGET', KEYS[1], 'user')
if not user then return {'gone', now} end
redis.call('HSET', KEYS[1], 'lastActiveAt', ARGV[2])
return {'ok', now, user}`,
);

/**
 * KEYS row, events. ARGV 1 after, 2 limit → {newest seq, log length, entries}. The log has no gaps and ends at the row's seq, so the
 * oldest seq follows without reading an event for it.
 */
export const EVENTS = script(
  'events',
  `local seq = redis.call('HGET', KEYS[1], 'seq')
if not seq then return {0, 0, {}} end
return {tonumber(seq), redis.call('XLEN', KEYS[2]), redis.call('XRANGE', KEYS[2], '(' .. ARGV[1] .. '-0', '+', 'COUNT', ARGV[2])}`,
);

/** KEYS row, history → {generation, list length, unsealed bytes, unsealed blocks …} */
export const TAIL = script(
  'tail',
  `local row = redis.call('HMGET', KEYS[1], 'generation', 'tailBlocks', 'tailBytes')
local count = tonumber(row[2] or 0)
local found = {tonumber(row[1] or 0), redis.call('LLEN', KEYS[2]), tonumber(row[3] or 0)}
if count == 0 then return found end
for _, block in ipairs(redis.call('LRANGE', KEYS[2], -count, -1)) do found[#found + 1] = block end
return found`,
);

/**
 * KEYS row, history. ARGV 2 generation, 3 list length and 4 unsealed bytes as TAIL found them, 5 how many blocks are replaced, 6 new tail
 * blocks, 7 new tail bytes, 8… the blocks in their place → {'ok'|'changed'|'late', now}
 *
 * Clears and seals change the generation; while it is the same, a longer list has only been appended to, and what was appended stays behind
 * the sealed blocks. Giving up at every append instead would never seal the history of a session that does not pause.
 */
export const SEAL = script(
  'seal',
  `${IN_TIME}
local row = redis.call('HMGET', KEYS[1], 'seq', 'generation', 'tailBytes')
local length = tonumber(ARGV[3])
if not row[1] or (row[2] or '0') ~= ARGV[2] or redis.call('LLEN', KEYS[2]) < length then return {'changed', now} end
local appended = redis.call('LRANGE', KEYS[2], length, -1)
redis.call('HSET', KEYS[1], 'tailBlocks', ARGV[6] + #appended, 'tailBytes', ARGV[7] + row[3] - ARGV[4])
redis.call('HINCRBY', KEYS[1], 'generation', 1)
local kept = length - tonumber(ARGV[5])
if kept == 0 then redis.call('DEL', KEYS[2]) else redis.call('LTRIM', KEYS[2], 0, kept - 1) end
for i = 8, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
for _, block in ipairs(appended) do redis.call('RPUSH', KEYS[2], block) end
return {'ok', now}`,
);

function script(name: string, lua: string): Script {
  return { name, lua, sha1: createHash('sha1').update(lua).digest('hex') };
}
