/** What a store in Redis holds when all sessions are deleted. Runs in tests. */

/** Kept by user and day, and never by session. */
const USAGE = 'fairlead:{usage}:';

interface Keys {
  keys(pattern: string): Promise<string[]>;
  pTTL(key: string): Promise<number>;
}

/** All keys but those of usage that end by themselves. */
export async function keysLeft(redis: Keys): Promise<string[]> {
  const left: string[] = [];
  for (const key of await redis.keys('*')) {
    if (!key.startsWith(USAGE) || (await redis.pTTL(key)) === -1) left.push(key);
  }
  return left;
}
