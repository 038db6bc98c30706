/** Finds the agent thread of a session by a stable hash. Pure; every thread. */

/** FNV-1a over the id's UTF-16 units, modulo the number of threads. */
export function threadOf(session: string, threads: number): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < session.length; index++) {
    hash = Math.imul(hash ^ session.charCodeAt(index), 0x01000193);
  }
  return (hash >>> 0) % threads;
}

/** As `threadOf`, also for what a thread's sessions share: `shared_2` belongs to thread 2. */
export function threadOfOwner(owner: string, threads: number): number {
  const shared = /^shared_(\d{1,6})$/.exec(owner)?.[1];
  return shared === undefined ? threadOf(owner, threads) : Number(shared);
}
