/** Paths of files as clients write them: those that lists show, and what an absolute path of the sandbox says. Docker thread. */
import { FairleadError } from '../../../src/shared/errors.js';
import { meantPaths, type BytePath } from '../../workspace/names.js';

/** The kernel's own limits, in bytes. */
const MAX_PATH = 4_095;
const MAX_NAME = 255;

/** From the root, `''` for the root itself; a character for each byte. ERR_BAD_PATH for what is outside or can be no path. */
export function pathOf(shown: string): BytePath {
  if (shown.length > 4 * MAX_PATH) throw badPath('a path has 4,095 bytes at most');
  // What is quoted as a list quotes it is meant so; the first meaning is that of the list.
  const [meant = '' as BytePath] = meantPaths(shown);
  if (meant.includes('\0')) throw badPath('a path has no NUL character');
  const below = /^\/workspace(?=\/|$)/.test(meant) ? meant.slice('/workspace'.length) : meant;
  if (below === meant && meant.startsWith('/')) throw badPath('it is outside of /workspace');
  const names: string[] = [];
  for (const name of below.split('/')) {
    if (name === '' || name === '.') continue;
    if (name.length > MAX_NAME) throw badPath('a name has 255 bytes at most');
    if (name !== '..') names.push(name);
    else if (names.pop() === undefined) throw badPath('it is outside of /workspace');
  }
  const path = names.join('/');
  if (path.length > MAX_PATH) throw badPath('a path has 4,095 bytes at most');
  return path as BytePath;
}

function badPath(why: string): FairleadError {
  return new FairleadError('ERR_BAD_PATH', `path: ${why}`);
}

/** In the order of lists: by the bytes of each name, and what is in a folder right after it. */
export function inOrder(one: string, other: string): number {
  const [a, b] = [sortKey(one), sortKey(other)];
  return a === b ? 0 : a < b ? -1 : 1;
}

/** No name has a NUL, so nothing comes before the end of one. */
export function sortKey(path: string): string {
  return path.replaceAll('/', '\0');
}
