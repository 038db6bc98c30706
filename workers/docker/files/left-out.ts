/** Says what has no place in an archive that somebody will unpack, and lists it. Pure; docker thread. */
import { randomBytes } from 'node:crypto';
import { shownPath, type BytePath } from '../../workspace/names.js';
import type { Entry } from './entries.js';

const LIST = 'NOT-IN-THIS-ARCHIVE';
/** Lines of the list; the rest is counted. */
const MAX_LINES = 1_000;
/** Links whose places are remembered. */
const MAX_LINKS = 100_000;

export class LeftOut {
  readonly #lines: string[] = [];
  #count = 0;
  #isNameTaken = false;
  /** Where links are. What comes below one of them would be written where it leads. */
  readonly #links = new Set<string>();
  readonly #maxEntries: number;
  #entries = 0;

  /** `maxEntries`: so many have a place in this format. */
  constructor(maxEntries = Infinity) {
    this.#maxEntries = maxEntries;
  }

  /** True: it has no place. */
  note(entry: Entry): boolean {
    const why = this.#why(entry);
    if (entry.path === `${LIST}.txt`) this.#isNameTaken = true;
    if (why === undefined) {
      this.#entries++;
      if (entry.type === 'link') this.#links.add(entry.path);
      return false;
    }
    if (++this.#count <= MAX_LINES) this.#lines.push(`${shownPath(entry.path)}: ${why}\n`);
    return true;
  }

  #why({ path, type, missing, sameAs }: Entry): string | undefined {
    if (missing !== undefined) return missing;
    if (type === 'other') return 'it is a device, pipe or socket';
    const why = this.#whyNot(path) ?? (sameAs === undefined ? undefined : this.#whyNot(sameAs));
    if (why !== undefined) return why;
    if (type === 'link' && this.#links.size >= MAX_LINKS) return `an archive has ${MAX_LINKS} links at most`;
    if (this.#entries >= this.#maxEntries) return `a zip has ${this.#maxEntries} files at most: take format=tar.gz`;
    return undefined;
  }

  #whyNot(path: BytePath): string | undefined {
    const names = path.split('/');
    if (path.includes('\0') || names.some((name) => ['', '.', '..'].includes(name))) return 'its name leads elsewhere';
    let at = '';
    for (const name of names) {
      at = at === '' ? name : `${at}/${name}`;
      if (this.#links.has(at)) return 'a link is there';
    }
    return undefined;
  }

  /** A file of the archive. Undefined: all is there. */
  get list(): { name: BytePath; text: string } | undefined {
    if (this.#count === 0) return undefined;
    const mark = this.#isNameTaken ? `-${randomBytes(4).toString('hex')}` : '';
    const more = this.#count > MAX_LINES ? `and ${this.#count - MAX_LINES} more\n` : '';
    return { name: `${LIST}${mark}.txt` as BytePath, text: this.#lines.join('') + more };
  }
}
