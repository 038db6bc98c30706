/** Session ids that belong to no user: under these an agent thread holds what all of its sessions share. Every thread. */

const SHARED = /^shared_(\d{1,6})$/;

/** Cannot clash with a user's session id, which has 24 characters. */
export function sharedSession(index: number): string {
  return `shared_${index}`;
}

/** True for a thread that exists now: its containers are no leftovers. */
export function isSharedSession(session: string, threads: number): boolean {
  const index = SHARED.exec(session)?.[1];
  return index !== undefined && Number(index) < threads;
}

/** The id under which a thread lists tools. Released at once; what a crash leaves of it is removed as a leftover. */
export function listingSession(index: number): string {
  return `listing_${index}`;
}
