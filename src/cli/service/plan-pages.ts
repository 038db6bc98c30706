/** The steps that put the manual page and the scripts of shells where programs look for them: links, so that an upgrade takes them along. Pure. Command line's process. */
import { dirname } from 'node:path';
import type { Facts } from './facts.js';
import type { Layout } from './layout.js';
import { setLink, type Step } from './step.js';

/** What is in their places stays: ours, or somebody's own. */
export function linkPages({ pages, localMan }: Facts, layout: Layout): Step[] {
  const title = 'put the manual page and the completion of shells in place';
  const links = layout.pages
    .filter(({ path }) => pages[path] === undefined)
    .flatMap(({ path, to }) => setLink(path, to, undefined, title));
  if (links.length === 0) return [];
  const folders = layout.pages.map(({ path }) => dirname(path));
  const undo = [{ argv: removeFolders(layout, localMan) }];
  return [{ title, argv: ['install', '-d', '-m', '0755', ...folders], undo }, ...links];
}

export function unlinkPages({ pages, localMan }: Facts, layout: Layout): Step[] {
  const title = 'take the manual page and the completion of shells away';
  const ours = layout.pages.filter(({ path, to }) => {
    const found = pages[path];
    return found?.kind === 'link' && found.to === to;
  });
  if (ours.length === 0) return [];
  return [
    { title, argv: ['rm', '-f', ...ours.map(({ path }) => path)] },
    { title, argv: removeFolders(layout, localMan) },
  ];
}

/** Those that are empty and there. */
function removeFolders({ pageFolders, sharedFolders }: Layout, localMan: boolean): string[] {
  const folders = localMan ? pageFolders : [...pageFolders, ...sharedFolders];
  return ['sh', '-c', 'rmdir --ignore-fail-on-non-empty "$@" 2>/dev/null || true', 'sh', ...folders];
}
