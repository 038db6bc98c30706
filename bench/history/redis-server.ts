/** A connection to the bench's Redis, and its memory and CPU time. */
import { createClient } from 'redis';

export type RedisClient = Awaited<ReturnType<typeof connectRedis>>;

export async function connectRedis(url: string) {
  const client = createClient({ url, RESP: 3, maintNotifications: 'disabled' });
  // Commands reject on their own.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** Memory of all keys of the pattern, including names and Redis's own structures. */
export async function bytesOf(client: RedisClient, pattern: string): Promise<number> {
  const keys = await client.sendCommand<string[]>(['KEYS', pattern]);
  if (keys.length === 0) throw new Error(`there is no key ${pattern}`);
  // SAMPLES 0 counts every element of a list.
  const sizes = await Promise.all(
    keys.map((key) => client.sendCommand<number>(['MEMORY', 'USAGE', key, 'SAMPLES', '0'])),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** ms of CPU time so far. */
export async function redisCpuMs(client: RedisClient): Promise<number> {
  const info = await client.sendCommand<string>(['INFO', 'cpu']);
  const [, system = ''] = /^used_cpu_sys:([\d.]+)/m.exec(info) ?? [];
  const [, user = ''] = /^used_cpu_user:([\d.]+)/m.exec(info) ?? [];
  const seconds = Number(system) + Number(user);
  if (!Number.isFinite(seconds) || system === '') throw new Error('Redis does not tell its processor time');
  return seconds * 1_000;
}
