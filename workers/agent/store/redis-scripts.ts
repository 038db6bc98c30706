/** The Lua scripts of the Redis store: each is one atomic step on the keys of one session or secret. Runs inside Redis. */
import { createHash } from 'node:crypto';
import { COUNT_CHECK, COUNT_DELETE, COUNT_WRITE } from './redis-count.js';

export interface Script {
  name: string;
  lua: string;
  sha1: string;
}

/**
 * ARGV[1] of a script that writes is the caller's deadline on Redis's clock, ms. A command that lay in the buffer of a hung
 * server must not run once its caller was told that it failed.
 */
export const IN_TIME = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {'late', now} end
`;

/**
 * KEYS row, history, events, ids; where something is counted also `countKeys`.
 * ARGV 2 owner, 3 the commit's nonce, 4 maxEvents, 5 maxBytes, 6 maxAgeMs, 7 maxMessageIds, 8 clear history '1'/'0',
 *      9 block or '', 10 its content's bytes, 11 message id with 12 its turn or '', 13 count of row arguments, then those
 *      (field, value …), then the events (seq, json …); 14 to 20 what is counted, see redis-count.ts.
 * → {'ok', now, user, unsealed bytes, uncounted} | {'duplicate', now, turn, due} | {'conflict', now, why, due} | {'late', now}
 *   | {'over', now, limit, due, max, used, resetAt}
 * `due` is the row's wake-up; '' where it has none, or where the session belongs to another server.
 *
 * The nonce is checked first: a commit that has landed and is sent again because its reply was lost is neither a conflict nor a
 * duplicate. The first write is one that Redis refuses when it is out of memory; after a first write it lets a script finish.
 */
export const COMMIT = script(
  'commit',
  `${IN_TIME}
local row = redis.call('HMGET', KEYS[1], 'seq', 'user', 'trimAt', 'owner', 'commit', 'due', 'logBytes', 'tailBytes', 'counted',
  'opened')
if not row[1] then return {'conflict', now, 'does not exist', ''} end
local tailBytes = tonumber(row[8] or 0)
if row[5] == ARGV[3] then return {'ok', now, row[2], tailBytes, 0} end
if (row[4] or '') ~= ARGV[2] then return {'conflict', now, 'belongs to another server', ''} end
local due = row[6] or ''
if ARGV[12] ~= '' then
  local turn = redis.call('ZSCORE', KEYS[4], ARGV[11])
  if turn then return {'duplicate', now, tonumber(turn), due} end
end
local firstEvent = 21 + tonumber(ARGV[13])
local seq = row[1]
local logBytes = tonumber(row[7] or 0)
if not row[7] then
  for _, entry in ipairs(redis.call('XRANGE', KEYS[3], '-', '+')) do logBytes = logBytes + #entry[2][4] end
end
if ARGV[firstEvent] and tonumber(ARGV[firstEvent]) ~= tonumber(seq) + 1 then
  return {'conflict', now, 'has seq ' .. seq .. ' already', due}
end
${COUNT_CHECK}
if ARGV[firstEvent] then
  local at = string.format('%.0f', now)
  for i = firstEvent, #ARGV, 2 do
    seq = ARGV[i]
    local added = redis.pcall('XADD', KEYS[3], seq .. '-0', 't', at, 'e', ARGV[i + 1])
    if type(added) == 'table' and added.err then
      if i == firstEvent and string.find(added.err, 'equal or smaller') then
        return {'conflict', now, 'has a log past its row', due}
      end
      return added
    end
    logBytes = logBytes + #ARGV[i + 1]
  end
end
redis.call('HSET', KEYS[1], 'seq', seq, 'commit', ARGV[3], unpack(ARGV, 21, firstEvent - 1))
${COUNT_WRITE}
if ARGV[12] ~= '' then
  redis.call('ZADD', KEYS[4], ARGV[12], ARGV[11])
  redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -1 - tonumber(ARGV[7]))
end
if ARGV[8] == '1' then
  tailBytes = 0
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'tailBlocks', 0, 'tailBytes', 0)
  redis.call('HINCRBY', KEYS[1], 'generation', 1)
end
if ARGV[9] ~= '' then
  redis.call('RPUSH', KEYS[2], ARGV[9])
  redis.call('HINCRBY', KEYS[1], 'tailBlocks', 1)
  tailBytes = redis.call('HINCRBY', KEYS[1], 'tailBytes', ARGV[10])
end
-- Trims the log's oldest events. Events are read only when the log is too large or one may be too old: the dropped ones and one more.
local maxEvents, maxBytes, maxAge = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local length = redis.call('XLEN', KEYS[3])
local trimAt = tonumber(row[3] or 0)
-- A later trimAt was set when the configuration kept events for longer.
local byAge = now >= trimAt or trimAt > now + maxAge
if byAge then trimAt = now + maxAge end
local spent
while length > 0 do
  local over = length > maxEvents or (length > 1 and logBytes > maxBytes)
  if not (over or byAge) then break end
  local oldest = redis.call('XRANGE', KEYS[3], spent and '(' .. spent or '-', '+', 'COUNT', 1)[1]
  local at = tonumber(oldest[2][2])
  if not over and at > now - maxAge then
    trimAt = at + maxAge
    break
  end
  spent = oldest[1]
  length = length - 1
  logBytes = logBytes - #oldest[2][4]
end
if spent then redis.call('XTRIM', KEYS[3], 'MINID', string.format('%.0f', tonumber(string.match(spent, '^%d+')) + 1)) end
if spent or byAge or ARGV[firstEvent] or not row[7] then
  redis.call('HSET', KEYS[1], 'trimAt', string.format('%.0f', trimAt), 'logBytes', string.format('%.0f', logBytes))
end
return {'ok', now, row[2], tailBytes, uncounted}`,
);

/**
 * KEYS row, index of the user, names of all users. ARGV 2 owner, 3 createdAt, 4 user, 5 lastActiveAt, 6 session, 7 maxSessions or 0, 8… field, value …
 * → {'ok'|'conflict'|'over', now} | {'late', now}. The index is the count.
 */
export const CREATE = script(
  'create',
  `${IN_TIME}
local row = redis.call('HMGET', KEYS[1], 'owner', 'createdAt', 'user')
if row[3] then
  -- The same session: its reply was lost, and it is sent again.
  local same = row[1] == ARGV[2] and row[2] == ARGV[3] and row[3] == ARGV[4]
  return {same and 'ok' or 'conflict', now}
end
local max = tonumber(ARGV[7])
if max > 0 and redis.call('ZRANGE', KEYS[2], max - 1, max - 1)[1] then return {'over', now} end
redis.call('ZADD', KEYS[3], 0, ARGV[4])
redis.call('ZADD', KEYS[2], 'NX', ARGV[5], ARGV[6])
redis.call('HSET', KEYS[1], unpack(ARGV, 8))
return {'ok', now}`,
);

/**
 * KEYS row, history, events, ids, and where the user is known totals and turns. ARGV 2 session → {'ok', now} | {'late', now}
 */
export const DELETE = script(
  'delete',
  `${IN_TIME}
${COUNT_DELETE}
redis.call('UNLINK', unpack(KEYS, 1, 4))
return {'ok', now}`,
);

/** KEYS row. ARGV 2 owner, 3… field … → {'ok', now, previous owner, due, values} | {'gone', now} | {'late', now} */
export const TAKE = script(
  'take',
  `${IN_TIME}
local row = redis.call('HMGET', KEYS[1], 'user', 'owner', 'due')
if not row[1] then return {'gone', now} end
if row[2] ~= ARGV[2] then redis.call('HSET', KEYS[1], 'owner', ARGV[2]) end
return {'ok', now, row[2] or '', row[3] or '', redis.call('HMGET', KEYS[1], unpack(ARGV, 3))}`,
);

/** KEYS and ARGV 2 as DELETE's. ARGV 3 before, 4 the same for one with an open turn → {'ok', now, user, owner} | {'gone'|'kept', now} | {'late', now} */
export const DELETE_EXPIRED = script(
  'delete-expired',
  `${IN_TIME}
local row = redis.call('HMGET', KEYS[1], 'user', 'owner', 'lastActiveAt', 'openTurns')
if not row[1] then return {'gone', now} end
local before = (row[4] or '[]') == '[]' and ARGV[3] or ARGV[4]
if tonumber(row[3] or 0) >= tonumber(before) then return {'kept', now} end
${COUNT_DELETE}
redis.call('UNLINK', unpack(KEYS, 1, 4))
return {'ok', now, row[1], row[2] or ''}`,
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
 * KEYS row, events. ARGV 1 after, 2 limit → {newest seq, log length, entries}. The log has no gaps and ends at the row's seq, so
 * the caller computes the oldest seq.
 */
export const EVENTS = script(
  'events',
  `local seq = redis.call('HGET', KEYS[1], 'seq')
if not seq then return {0, 0, {}} end
return {tonumber(seq), redis.call('XLEN', KEYS[2]), redis.call('XRANGE', KEYS[2], '(' .. ARGV[1] .. '-0', '+', 'COUNT', ARGV[2])}`,
);

/**
 * KEYS row, history. ARGV 1 the first place to take, or -1: then 2 is the last one → {generation, size as JSON or '', place, block};
 * the place is -1 where there is no block.
 */
export const BLOCK = script(
  'block',
  `local row = redis.call('HMGET', KEYS[1], 'generation', 'history')
local length = redis.call('LLEN', KEYS[2])
local at = tonumber(ARGV[1])
if at < 0 then at = math.min(tonumber(ARGV[2]), length - 1) end
local found = at >= 0 and at < length
return {tonumber(row[1] or 0), row[2] or '', found and at or -1, found and redis.call('LINDEX', KEYS[2], at) or ''}`,
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
 * KEYS row, history. ARGV 2 generation, 3 list length and 4 unsealed bytes as TAIL found them, 5 number of replaced blocks, 6 new
 * tail blocks, 7 new tail bytes, 8… the new blocks → {'ok'|'changed'|'late', now}
 *
 * Clears and seals change the generation. While it is the same, the list has at most grown, and appended blocks stay behind the
 * sealed ones. Giving up at each append instead would never seal the history of a busy session.
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

/**
 * KEYS secret. ARGV 2 nonce, 3 the expected version ('0': none; '': any), 4 ms to live ('0': for ever), 5 bytes
 * → {'ok', now, version} | {'conflict', now} | {'late', now}
 */
export const WRITE_SECRET = script(
  'write-secret',
  `${IN_TIME}
local old = redis.call('HMGET', KEYS[1], 'version', 'nonce')
-- The same write: its reply was lost, and it is sent again.
if old[2] == ARGV[2] then return {'ok', now, tonumber(old[1])} end
if ARGV[3] ~= '' and (old[1] or '0') ~= ARGV[3] then return {'conflict', now} end
local version = math.max(tonumber(old[1] or 0) + 1, now)
redis.call('HSET', KEYS[1], 'version', string.format('%.0f', version), 'nonce', ARGV[2], 'bytes', ARGV[5])
if ARGV[4] == '0' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return {'ok', now, version}`,
);

/**
 * KEYS a key that is never there, the index of sessions → {'ok', now} | {'late', now}. Changes nothing, and asks Redis for every
 * right that the other scripts need: rights and memory are checked before arguments, so a refusal of the arguments is a yes.
 */
export const CHECK = script(
  'check',
  `${IN_TIME}
local none, sessions = KEYS[1], KEYS[2]
-- Finds no stream, so that it writes nothing: a Redis that is full or a replica refuses it all the same.
redis.call('XADD', none, 'NOMKSTREAM', '*', 'e', '')
local problem
local function refuses(with, ...)
  local reply = redis.pcall(...)
  if not problem and not string.find(reply.err, with, 1, true) then problem = reply end
end
refuses('wrong number', 'HSET', none, 'field', 'value', 'field')
refuses('not an integer', 'HINCRBY', none, 'field', 'x')
-- RPUSH makes a list of a key that is not there, so it is asked of one that is no list.
if redis.call('ZRANGE', sessions, 0, 0)[1] then refuses('WRONGTYPE', 'RPUSH', sessions, '') end
if problem then return problem end
redis.call('ZADD', none, 'XX', 1, 'x')
for _, command in ipairs({'HGET', 'ZSCORE', 'ZREM'}) do redis.call(command, none, 'x') end
for _, command in ipairs({'LRANGE', 'LTRIM', 'ZREMRANGEBYRANK'}) do redis.call(command, none, 0, -1) end
for _, command in ipairs({'LLEN', 'XLEN', 'PERSIST', 'UNLINK', 'DEL'}) do redis.call(command, none) end
redis.call('HMGET', none, 'x')
redis.call('HSCAN', none, 0)
redis.call('HDEL', none, 'no')
redis.call('LINDEX', none, 0)
redis.call('XRANGE', none, '-', '+')
redis.call('XTRIM', none, 'MINID', 1)
redis.call('PEXPIRE', none, 60000)
return {'ok', now}`,
);

export function script(name: string, lua: string): Script {
  return { name, lua, sha1: createHash('sha1').update(lua).digest('hex') };
}
