/** Where a log-in may lead: a path of this server, and nowhere else. Main thread; pure. */

/** After a log-in without an address to return to, and after a log-out. */
export const OWN_PAGE = '/auth';

const MAX_LENGTH = 1_024;
/** Any base will do: an address that is no path of it leads elsewhere. */
const BASE = 'http://own.invalid';

/** Undefined for an address elsewhere. Browsers read `//host`, `/\host` and `/<tab>/host` as another host. */
export function returnPath(given: string | null): string | undefined {
  if (given === null || given === '') return OWN_PAGE;
  if (given.length > MAX_LENGTH || !/^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(given)) return undefined;
  if (!URL.canParse(given, BASE)) return undefined;
  const { origin, pathname, search, hash } = new URL(given, BASE);
  // Dots may leave two slashes at the beginning.
  return origin === BASE && !pathname.startsWith('//') ? pathname + search + hash : undefined;
}
