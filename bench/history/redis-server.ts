/** The Redis of the bench as its ways see it: one more connection, its memory and its processor time. */
import { createClient } from 'redis';

export type RedisClient = Awaited<ReturnType<typeof connectRedis>>;

export async function connectRedis(url: string) {
  const client = createClient({ url, RESP: 3, maintNotifications: 'disabled' });
  // Its commands reject by themselves.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** All that the keys of the pattern take, their names and Redis's own structures included. */
export async function bytesOf(client: RedisClient, pattern: string): Promise<number> {
  const keys = await client.sendCommand<string[]>(['KEYS', pattern]);
  if (keys.length === 0) throw new Error(`there is no key ${pattern}`);
  // SAMPLES 0: every element of a list is looked at.
  const sizes = await Promise.all(
    keys.map((key) => client.sendCommand<number>(['MEMORY', 'USAGE', key, 'SAMPLES', '0'])),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** ms of processor time so far. */
export async function redisCpuMs(client: RedisClient): Promise<number> {
  const info = await client.sendCommand<string>(['INFO', 'cpu']);
  const [, system = ''] = /^used_cpu_sys:([\d.]+)/m.exec(info) ?? [];
  const [, user = ''] = /^used_cpu_user:([\d.]+)/m.exec(info) ?? [];
  const seconds = Number(system) + Number(user);
  if (!Number.isFinite(seconds) || system === '') throw new Error('Redis does not tell its processor time');
  return seconds * 1_000;
}
