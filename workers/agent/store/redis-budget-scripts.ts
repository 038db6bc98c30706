/** The Lua scripts that count what is used, against budgets and by day. All their keys are in one hash slot each. Runs inside Redis. */
import { KEPT_AFTER_MS, MAX_LEASE_MS, REPEAT_MS, SESSION_MS, TOLD_FROM, TURN_MS } from './ledger.js';
import { IN_TIME, script } from './redis-scripts.js';

export const BUDGETS = 'fairlead:{budgets}:';
export const LEASES_KEY = `${BUDGETS}leases`;

/** Each step ends at most this many leases, so that none takes long. */
const MAX_ENDED = 20;

/**
 * `periodOf(now, id, per)` → the counter's place, how long it is kept in ms, when its period ends (0: it has no end). Days and months
 * are counted as in `src/shared/utc-period.ts`; the calendar is Howard Hinnant's `civil_from_days`.
 */
export const PERIODS = `
local function monthOf(now)
  local z = math.floor(now / 86400000) + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  return (yoe + era * 400 + (month <= 2 and 1 or 0)) * 12 + month - 1
end
local function monthStart(month)
  local m = month % 12 + 1
  local year = math.floor(month / 12) - (m <= 2 and 1 or 0)
  local era = math.floor(year / 400)
  local yoe = year - era * 400
  local doe = yoe * 365 + math.floor(yoe / 4) - math.floor(yoe / 100) + math.floor((153 * ((m + 9) % 12) + 2) / 5)
  return (era * 146097 + doe - 719468) * 86400000
end
local function periodOf(now, id, per)
  if per == 'turn' then return id .. 't', ${TURN_MS}, 0 end
  if per == 'session' then return id .. 's', ${SESSION_MS}, 0 end
  local name, ends
  if per == 'day' then
    local day = math.floor(now / 86400000)
    name, ends = 'd' .. day, (day + 1) * 86400000
  else
    local month = monthOf(now)
    name, ends = 'm' .. month, monthStart(month + 1)
  end
  return id .. name, ends - now + ${KEPT_AFTER_MS}, ends
end
`;

const COMMON = `${IN_TIME}${PERIODS}
local P = '${BUDGETS}'
local function text(number) return string.format('%.0f', number) end
local function endLease(id)
  local lease = redis.call('HMGET', P .. 'l:' .. id, 't', 'n', 'places')
  if lease[1] then
    for place in string.gmatch(lease[3], '[^,]+') do
      local held = redis.call('HMGET', P .. 'c:' .. place, 'ht', 'hn')
      if held[1] then
        redis.call('HSET', P .. 'c:' .. place,
          'ht', text(math.max(0, held[1] - lease[1])), 'hn', text(math.max(0, held[2] - lease[2])))
      end
    end
    redis.call('UNLINK', P .. 'l:' .. id)
  end
  redis.call('ZREM', KEYS[1], id)
end
`;

/**
 * KEYS leases. ARGV 2 id, 3 lease ms, 4 tokens, 5 nanos, then for each counter its id, period, tokens or '', nanos or ''
 * → {'reserved', now, place …} | {'spent'|'held', now, index, tokens, nanos, end} | {'late', now}
 */
export const RESERVE = script(
  'reserve',
  `${COMMON}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', text(now), 'BYSCORE', 'LIMIT', 0, ${MAX_ENDED})) do endLease(id) end
local latest = text(now + ${MAX_LEASE_MS})
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], '(' .. latest, '+inf', 'BYSCORE', 'LIMIT', 0, ${MAX_ENDED})) do
  redis.call('ZADD', KEYS[1], latest, id)
end
local reply = {'reserved', now}
-- The same reservation: its reply was lost, and it is sent again.
local known = redis.call('HGET', P .. 'l:' .. ARGV[2], 'places')
if known then
  for place in string.gmatch(known, '[^,]+') do reply[#reply + 1] = place end
  return reply
end
local tokens, nanos = tonumber(ARGV[4]), tonumber(ARGV[5])
local found = {}
local held
for i = 6, #ARGV, 4 do
  local at = (i - 6) / 4
  local place, kept, ends = periodOf(now, ARGV[i], ARGV[i + 1])
  local row = redis.call('HMGET', P .. 'c:' .. place, 't', 'n', 'ht', 'hn')
  local t, n, ht, hn = tonumber(row[1] or 0), tonumber(row[2] or 0), tonumber(row[3] or 0), tonumber(row[4] or 0)
  local mostT, mostN = tonumber(ARGV[i + 2]) or math.huge, tonumber(ARGV[i + 3]) or math.huge
  if t >= mostT or n >= mostN then return {'spent', now, at, t, n, ends} end
  if not held and ((ht > 0 and t + ht + tokens > mostT) or (hn > 0 and n + hn + nanos > mostN)) then
    held = {'held', now, at, t, n, ends}
  end
  found[#found + 1] = {place, kept, ht, hn}
end
if held then return held end
local places = {}
for _, each in ipairs(found) do
  local key = P .. 'c:' .. each[1]
  redis.call('HSET', key, 'ht', text(each[3] + tokens), 'hn', text(each[4] + nanos))
  redis.call('PEXPIRE', key, text(each[2]))
  places[#places + 1] = each[1]
  reply[#reply + 1] = each[1]
end
redis.call('HSET', P .. 'l:' .. ARGV[2], 't', ARGV[4], 'n', ARGV[5], 'places', table.concat(places, ','))
redis.call('ZADD', KEYS[1], text(now + tonumber(ARGV[3])), ARGV[2])
return reply`,
);

/**
 * KEYS leases. ARGV 2 id, 3 tokens, 4 nanos, then for each counter its id, period, tokens or '', nanos or '', place
 * → {'ok', now, (tokens, nanos, end, crossed) …} | {'late', now}
 */
export const SETTLE = script(
  'settle',
  `${COMMON}
local mark = P .. 's:' .. ARGV[2]
-- The same settlement: its reply was lost, and it is sent again.
local before = redis.call('HGET', mark, 'crossed')
local reply = {'ok', now}
local crossings = ''
for i = 5, #ARGV, 5 do
  local place, kept, ends = periodOf(now, ARGV[i], ARGV[i + 1])
  local key = P .. 'c:' .. ARGV[i + 4]
  local row = redis.call('HMGET', key, 't', 'n', 'told')
  local t, n = tonumber(row[1] or 0), tonumber(row[2] or 0)
  local crossed
  if before then
    crossed = string.sub(before, (i - 5) / 5 + 1, (i - 5) / 5 + 1)
  else
    t, n = t + tonumber(ARGV[3]), n + tonumber(ARGV[4])
    local mostT, mostN = tonumber(ARGV[i + 2]) or math.huge, tonumber(ARGV[i + 3]) or math.huge
    local near = t >= mostT * ${TOLD_FROM} or n >= mostN * ${TOLD_FROM}
    crossed = near and not row[3] and '1' or '0'
    crossings = crossings .. crossed
    redis.call('HSET', key, 't', text(t), 'n', text(n))
    if crossed == '1' then redis.call('HSET', key, 'told', '1') end
    redis.call('PEXPIRE', key, text(kept))
  end
  reply[#reply + 1] = t
  reply[#reply + 1] = n
  reply[#reply + 1] = ends
  reply[#reply + 1] = crossed
end
if not before then
  redis.call('HSET', mark, 'crossed', crossings)
  redis.call('PEXPIRE', mark, ${REPEAT_MS})
  endLease(ARGV[2])
end
return reply`,
);

/** KEYS leases. ARGV 2 lease ms, 3… ids → {'ok', now} | {'late', now} */
export const RENEW = script(
  'renew',
  `${COMMON}
for i = 3, #ARGV do redis.call('ZADD', KEYS[1], 'XX', text(now + tonumber(ARGV[2])), ARGV[i]) end
return {'ok', now}`,
);

/** KEYS leases. ARGV 2… for each counter its id and period → {'ok', now, (tokens, nanos, end) …} | {'late', now} */
export const LEVELS = script(
  'levels',
  `${COMMON}
local reply = {'ok', now}
for i = 2, #ARGV, 2 do
  local place, _, ends = periodOf(now, ARGV[i], ARGV[i + 1])
  local row = redis.call('HMGET', P .. 'c:' .. place, 't', 'n')
  reply[#reply + 1] = tonumber(row[1] or 0)
  reply[#reply + 1] = tonumber(row[2] or 0)
  reply[#reply + 1] = ends
end
return reply`,
);

/** So many models and tools of one user or group in one day; more are counted together as `*`. */
export const MAX_NAMES = 100;
/** Numbers of one row. */
export const COUNTS = 7;

/**
 * KEYS mark of the batch, then the day's hashes. ARGV 2 ms to keep them, then for each row the index of its hash in KEYS, the field,
 * the model, and its numbers → {'ok', now} | {'late', now}. A value is `model=1,2,3;…`.
 */
export const ADD_USAGE = script(
  'add-usage',
  `${IN_TIME}
if redis.call('HGET', KEYS[1], 'done') then return {'ok', now} end
redis.call('HSET', KEYS[1], 'done', '1')
redis.call('PEXPIRE', KEYS[1], ${REPEAT_MS})
local step = 3 + ${COUNTS}
for i = 3, #ARGV, step do
  local key, field, model = KEYS[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2]
  local names, rows = {}, {}
  for name, numbers in string.gmatch(redis.call('HGET', key, field) or '', '([^=;]+)=([^;]*)') do
    names[#names + 1] = name
    rows[name] = numbers
  end
  if not rows[model] and #names >= ${MAX_NAMES} then model = '*' end
  if not rows[model] then names[#names + 1] = model end
  local sums = {}
  local before = string.gmatch(rows[model] or '', '[^,]+')
  for n = 1, ${COUNTS} do sums[n] = string.format('%.0f', tonumber(before() or 0) + tonumber(ARGV[i + 2 + n])) end
  rows[model] = table.concat(sums, ',')
  local parts = {}
  for n, name in ipairs(names) do parts[n] = name .. '=' .. rows[name] end
  redis.call('HSET', key, field, table.concat(parts, ';'))
end
for i = 2, #KEYS do redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
return {'ok', now}`,
);
