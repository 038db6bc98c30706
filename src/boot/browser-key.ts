/** Finds the keys that seal browsers' cookies: the environment's, or one that the first start puts into the data folder. Main thread. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Config } from '../shared/config.js';
import { hasKeys } from '../shared/config-secret-keys.js';
import { makePrivateFile, readPrivateFile, type PrivateFile } from '../shared/private-file.js';

/** 64 hex digits each; the first seals. The caller holds the data folder. ERR_START when the folder's key is not to be trusted. */
export function openBrowserKeys({
  secretKeys,
  dataDir,
}: Pick<Config, 'secretKeys' | 'dataDir'>): readonly [string, ...string[]] {
  // Servers behind one name share them, so each takes the others' cookies.
  if (hasKeys(secretKeys)) return secretKeys;
  const kept: PrivateFile = {
    file: join(dataDir, 'browser-key'),
    pattern: /^[0-9a-f]{64}$/,
    holds: '64 hex digits',
    remedy: 'the next start makes a new key; browsers log in again then',
  };
  const known = readPrivateFile(kept, { owner: process.geteuid?.() });
  if (known !== undefined) return [known];
  const key = randomBytes(32).toString('hex');
  makePrivateFile(kept, key);
  return [key];
}
