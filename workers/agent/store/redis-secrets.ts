/** Secrets in Redis: a hash each, with a version for compare-and-set. Agent threads. */
import type { RedisCall } from './redis-link.js';
import { WRITE_SECRET } from './redis-scripts.js';
import type { Secret, WriteSecret } from './store.js';

export function secretKey(key: string): string {
  return `fairlead:secret:${key}`;
}

export async function fetchSecret(call: RedisCall, key: string): Promise<Secret | undefined> {
  type Reply = [version: Buffer | null, bytes: Buffer | null];
  const [version, bytes] = await call.sendBinary<Reply>(['HMGET', secretKey(key), 'version', 'bytes']);
  return version && bytes ? { bytes, version: Number(version.toString()) } : undefined;
}

export async function storeSecret(
  call: RedisCall,
  { key, bytes, nonce, ifVersion, ttlMs }: WriteSecret & { key: string; bytes: Uint8Array; nonce: string },
): Promise<number | undefined> {
  const args = [nonce, ifVersion === undefined ? '' : String(ifVersion), String(ttlMs ?? 0), Buffer.from(bytes)];
  type Reply = ['ok', number, version: number] | ['conflict', number];
  const reply = await call.write<Reply>(WRITE_SECRET, [secretKey(key)], args);
  return reply[0] === 'ok' ? reply[2] : undefined;
}
