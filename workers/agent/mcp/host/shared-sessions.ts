/** Sessions that are no person's: those in whose name an agent thread holds what all its sessions share. Every thread. */

const SHARED = /^shared_(\d{1,6})$/;

/** No session of a person has such an id: those have 24 characters. */
export function sharedSession(index: number): string {
  return `shared_${index}`;
}

/** Of a thread that there is now: what it holds is not to be taken away as no one's. */
export function isSharedSession(session: string, threads: number): boolean {
  const index = SHARED.exec(session)?.[1];
  return index !== undefined && Number(index) < threads;
}

/** In whose name tools are asked for; let go of at once, and no one's when that did not come about. */
export function listingSession(index: number): string {
  return `listing_${index}`;
}
