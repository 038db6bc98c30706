/** Secrets in the embedded store, with a version for compare-and-set. Agent threads; called inside a transaction. */
import { keyDigest, type LmdbTables, type StoredSecret } from './lmdb-tables.js';
import type { Secret, WriteSecret } from './store.js';

/** Each write removes at most this many expired secrets, so that they do not pile up and no write takes long. */
const MAX_REMOVED = 10;

export function getSecret({ secrets }: LmdbTables, key: string): Secret | undefined {
  const found = secrets.get(keyDigest(key));
  if (found === undefined || isExpired(found)) return undefined;
  return { bytes: Buffer.from(found.base64, 'base64'), version: found.version };
}

export function putSecret(
  tables: LmdbTables,
  key: string,
  bytes: Uint8Array,
  { ifVersion, ttlMs }: WriteSecret,
): number | undefined {
  const { secrets, secretEnds } = tables;
  const now = Date.now();
  removeExpired(tables, now);
  const id = keyDigest(key);
  const found = secrets.get(id);
  const before = found === undefined || isExpired(found) ? undefined : found;
  if (ifVersion !== undefined && (before?.version ?? 0) !== ifVersion) return undefined;
  const version = Math.max((found?.version ?? 0) + 1, now);
  if (found?.endsAt !== undefined) void secretEnds.remove([found.endsAt, id]);
  const base64 = Buffer.from(bytes).toString('base64');
  if (ttlMs === undefined) {
    void secrets.put(id, { version, base64 });
  } else {
    void secrets.put(id, { version, base64, endsAt: now + ttlMs });
    void secretEnds.put([now + ttlMs, id], 0);
  }
  return version;
}

export function removeSecret({ secrets, secretEnds }: LmdbTables, key: string): void {
  const id = keyDigest(key);
  const found = secrets.get(id);
  if (found?.endsAt !== undefined) void secretEnds.remove([found.endsAt, id]);
  void secrets.remove(id);
}

function removeExpired({ secrets, secretEnds }: LmdbTables, now: number): void {
  for (const end of Array.from(secretEnds.getKeys({ end: [now], limit: MAX_REMOVED }))) {
    void secretEnds.remove(end);
    void secrets.remove(end[1]);
  }
}

function isExpired({ endsAt }: StoredSecret): boolean {
  return endsAt !== undefined && endsAt <= Date.now();
}
