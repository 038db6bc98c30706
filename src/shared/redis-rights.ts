/** Tries in Redis every command that the store needs, on keys that are gone afterwards, and with that a write. Main thread and command line. */

import { isNotAllowed } from './redis-errors.js';

export type Send = <T>(args: string[]) => Promise<T>;

/** All that the store's scripts and commands use: a test compares. */
export const RIGHTS_SCRIPT = `
local hash, list, stream, zset = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local problems = {}
local function try(name, ...)
  local reply = redis.pcall(name, ...)
  if type(reply) == 'table' and reply.err then
    problems[#problems + 1] = name
    problems[#problems + 1] = reply.err
  end
end
try('PING')
try('TIME')
try('HSET', hash, 'n', 1)
try('HGET', hash, 'n')
try('HMGET', hash, 'n')
try('HINCRBY', hash, 'n', 1)
try('HDEL', hash, 'no')
try('HSCAN', hash, 0)
try('PEXPIRE', hash, 60000)
try('PERSIST', hash)
try('RPUSH', list, 'x')
try('LLEN', list)
try('LINDEX', list, 0)
try('LRANGE', list, 0, -1)
try('LTRIM', list, 0, -1)
try('XADD', stream, '*', 'e', 'x')
try('XLEN', stream)
try('XRANGE', stream, '-', '+')
try('XTRIM', stream, 'MINID', 1)
try('ZADD', zset, 1, 'x')
try('ZSCORE', zset, 'x')
try('ZRANGE', zset, 0, -1)
try('ZREMRANGEBYRANK', zset, 0, -2)
try('ZREM', zset, 'x')
try('UNLINK', hash, list, stream, zset)
try('DEL', hash, list, stream, zset)
return problems`;

/** One hash slot, as a session's keys. */
const RIGHTS_KEYS = ['hash', 'list', 'stream', 'zset'].map((kind) => `fairlead:{check}:${kind}`);

/** No script has it: a Redis that lets us run known scripts says that it does not know this one. */
const NO_SCRIPT = '0'.repeat(40);

export type Rights =
  | { state: 'all' }
  /** Redis takes no writes now; its own words. */
  | { state: 'no-writes'; said: string }
  | { state: 'lacks'; commands: string[]; said: string };

/** Rejects with what EVAL itself is answered. */
export async function tryRights(send: Send): Promise<Rights> {
  const problems = await send<string[]>(['EVAL', RIGHTS_SCRIPT, String(RIGHTS_KEYS.length), ...RIGHTS_KEYS]);
  const known = await send(['EVALSHA', NO_SCRIPT, '0']).catch((error: Error) => error);
  if (known instanceof Error && !known.message.startsWith('NOSCRIPT')) problems.push('EVALSHA', known.message);
  const said = problems.filter((_, index) => index % 2 === 1).map((text) => text.replace(/^-/, ''));
  const [first] = said;
  if (first === undefined) return { state: 'all' };
  const other = said.find((text) => !isNotAllowed(text));
  if (other !== undefined) return { state: 'no-writes', said: other };
  return { state: 'lacks', commands: problems.filter((_, index) => index % 2 === 0), said: first };
}
