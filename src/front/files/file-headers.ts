/** What HTTP says of a file: its entity tag, conditions and ranges, and how a browser is to take it. Main thread; pure. */
import type { FileStat } from '../../../workers/docker/contract/files.js';
import { cutText } from '../../shared/cut-text.js';
import { typeOfName } from '../../shared/file-types.js';
import type { Header } from '../http.js';

const BYTES = 'application/octet-stream';
const UTF8 = '; charset=utf-8';
/** Should a browser show it all the same, nothing of it runs, loads or is of this origin. */
const SANDBOX = "sandbox; default-src 'none'";
const MAX_NAME = 200;

export function etagOf({ version }: Pick<FileStat, 'version'>): string {
  return `"${version}"`;
}

/** `path` as lists show it: its last name is what a browser saves the file as. */
export function downloadHeaders(path: string): Header[] {
  const name = path.split('/').findLast((part) => part !== '') ?? 'workspace';
  const type = typeOfName(name);
  return [
    ['Content-Type', type === undefined ? BYTES : type.startsWith('text/') ? `${type}${UTF8}` : type],
    ['Content-Disposition', disposition(name)],
    ['Content-Security-Policy', SANDBOX],
  ];
}

/** RFC 6266: the name in plain letters, and in full. Neither has a character that ends a line, hides, or turns the text around. */
export function disposition(name: string): string {
  const safe = cutText(name.toWellFormed().replaceAll(/[\p{C}\p{Zl}\p{Zp}"\\/]/gu, '_'), MAX_NAME);
  const plain = safe.replaceAll(/[^\x20-\x7e]|%/g, '_');
  const full = encodeURIComponent(safe).replaceAll(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16)}`);
  return `attachment; filename="${plain}"; filename*=UTF-8''${full}`;
}

/**
 * Whether one of a header's tags names this version. A file that came out of a save has lost its nanoseconds and has another
 * inode: it is the same as the one before, if size and second are.
 */
export function namesVersion(header: string, version: string): boolean {
  return [...header.matchAll(/(?:W\/)?"([^"]*)"/g)].some(([, tag = '']) => {
    if (tag === version) return true;
    const [size, second] = tag.split('.');
    const [ownSize, ownSecond, nanoseconds] = version.split('.');
    return nanoseconds === '0' && size === ownSize && second === ownSecond;
  });
}

export type Part = { from: number; length: number } | 'whole' | 'none';

/** `none`: no byte of it is there (416). What is no single range in bytes is ignored, as RFC 9110 allows. */
export function rangeOf(header: string, size: number): Part {
  const [, first = '', last = ''] = /^bytes=[ \t]*(\d{0,15})-(\d{0,15})[ \t]*$/i.exec(header) ?? [];
  if (first === '' && last === '') return 'whole';
  if (first === '') {
    const length = Math.min(Number(last), size);
    return length === 0 ? 'none' : { from: size - length, length };
  }
  const from = Number(first);
  const to = last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (last !== '' && Number(last) < from) return 'whole';
  return from >= size ? 'none' : { from, length: to - from + 1 };
}
