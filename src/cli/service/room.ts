/** What to say when a disk was full in the middle of it. Command line's process. */
import { freeIn } from './facts.js';
import type { Layout } from './layout.js';

const FULL = /No space left on device|Disk quota exceeded|ENOSPC|EDQUOT/;

/** '' when no disk was full. What was made has been removed by now, so each place is told as it is: another program may have taken the room. */
export function fullDiskWords(message: string, layout: Layout, neededBytes: number): string {
  if (!FULL.test(message)) return '';
  const places = [layout.releases, layout.folder, layout.data];
  const free = places.map((path) => `${megabytes(freeIn(path), Math.floor)} MB in ${path}`).join(', ');
  return `\nA disk was full: make room and run it again. The release needs ${megabytes(neededBytes, Math.ceil)} MB in ${layout.releases}. Free now: ${free}.`;
}

function megabytes(bytes: number, round: (value: number) => number): number {
  return round(bytes / 1e6);
}
