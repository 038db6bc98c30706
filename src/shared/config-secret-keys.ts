/** The keys that seal what others keep for this server, from the environment. Pure. Main thread and command line. */
import type { ConfigProblem } from './config.js';

const KEY = /^[0-9a-f]{64}$/i;
/** A rotation needs two. Each one is tried for what was sealed. */
const MAX_KEYS = 8;

/** 64 hex digits each; the first seals, all open. Empty: there is none. */
export type SecretKeys = readonly string[];

export function hasKeys(keys: SecretKeys): keys is readonly [string, ...string[]] {
  return keys.length > 0;
}

/** `FAIRLEAD_SECRET_KEYS`, and `FAIRLEAD_SECRET_KEY` after them, so that what the single key sealed stays readable. */
export function readSecretKeys(env: NodeJS.ProcessEnv, problems: ConfigProblem[]): SecretKeys {
  const several = (env['FAIRLEAD_SECRET_KEYS'] ?? '').trim();
  const keys = several === '' ? [] : several.split(',').map((key) => key.trim());
  for (const [index, key] of keys.entries()) {
    // The key itself is not told, since problems are logged.
    if (!KEY.test(key)) problems.push({ path: 'FAIRLEAD_SECRET_KEYS', message: `key ${index + 1} ${NOT_A_KEY}` });
  }
  if (keys.length > MAX_KEYS) {
    problems.push({ path: 'FAIRLEAD_SECRET_KEYS', message: `has ${keys.length} keys: ${MAX_KEYS} at most` });
  }
  const single = env['FAIRLEAD_SECRET_KEY'] || '';
  if (single !== '' && !KEY.test(single)) problems.push({ path: 'FAIRLEAD_SECRET_KEY', message: NOT_A_KEY });
  const all = single === '' ? keys : [...keys, single];
  return [...new Set(all.map((key) => key.toLowerCase()))];
}

const NOT_A_KEY = 'must be 64 hex digits: `openssl rand -hex 32` makes one';
