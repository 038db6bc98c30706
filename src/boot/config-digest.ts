/** Names a configuration without telling it: what ran when, for the audit log. Pure; main thread. */
import { createHash } from 'node:crypto';
import type { Config } from '../shared/config.js';

export interface ConfigDigest {
  /** Of the settings in effect, keys sorted. Secrets of the environment are left out, since a digest of little is guessed. */
  settingsSha256: string;
  /** Of the file's bytes, as sha256sum prints it. Absent: there is no file. */
  fileSha256?: string;
  file?: string;
}

export function configDigest({
  anthropic: _anthropic,
  secretKeys: _secretKeys,
  proxies: _proxies,
  source,
  ...settings
}: Config): ConfigDigest {
  const settingsSha256 = sha256(JSON.stringify(sorted(settings)));
  return { settingsSha256, ...(source && { fileSha256: source.sha256, file: source.file }) };
}

export function sha256(text: string | Uint8Array): string {
  return createHash('sha256').update(text).digest('hex');
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]));
}
