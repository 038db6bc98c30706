/** What a store in Redis holds when all sessions are deleted. Runs in tests. */

/** Kept by user and day, and never by session. */
const USAGE = 'fairlead:{usage}:';

interface Keys {
  keys(pattern: string): Promise<string[]>;
  pTTL(key: string): Promise<number>;
}

/** Names of users, which a sweep forgets when nothing of them is left, their usage included. */
const NAMES = 'fairlead:users';

/** All keys but those of usage that end by themselves, and of names. */
export async function keysLeft(redis: Keys): Promise<string[]> {
  const left: string[] = [];
  for (const key of await redis.keys('*')) {
    if (key === NAMES) continue;
    if (!key.startsWith(USAGE) || (await redis.pTTL(key)) === -1) left.push(key);
  }
  return left;
}
