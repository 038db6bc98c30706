/** Verifies the chain of the audit log, and names the first entry that is not as it was written. Main thread and command line. */
import type { ChainedEntry, ChainEnd } from './chain.js';
import { EMPTY } from './chain.js';
import { auditFolder, headFile, readHead } from './files.js';
import { readLog, type LogLine } from './read.js';

export type Damage = 'missing' | 'edited' | 'inserted' | 'reordered' | 'unreadable';

export interface Break {
  damage: Damage;
  file: string;
  line: number;
  /** The number of the entry, where it has one. */
  n?: number;
  /** In words. */
  why: string;
}

export interface Verdict {
  entries: number;
  files: number;
  /** The first entry that is there: those before it were removed by `audit.keepDays`, and an entry says so. */
  first: number;
  last: ChainEnd;
  /** The newest entry that the head names. Absent: there is no head, and nothing proves where the log ends. */
  head?: ChainEnd;
  /** Entries in which the log says of itself that some are missing: the disk was full, or somebody changed the files. */
  saysMissing: number[];
  break?: Break;
}

interface SoundLine extends LogLine {
  entry: ChainedEntry;
}

/** `expect`: entries whose hash is known from elsewhere. */
export async function verifyLog(dataDir: string, expect: readonly ChainEnd[] = []): Promise<Verdict> {
  // Before the files: what it names is on the disk already.
  const head = await readHead(headFile(dataDir));
  const lines = readLog(auditFolder(dataDir));
  try {
    return await new Verifier(lines, head, expect).run();
  } finally {
    await lines.return(undefined);
  }
}

class Verifier {
  readonly #lines: AsyncGenerator<LogLine>;
  readonly #known: ReadonlyMap<number, string>;
  readonly #verdict: Verdict;
  #removed: { through: unknown; sha256: unknown }[] = [];
  #ahead: LogLine | undefined;

  constructor(lines: AsyncGenerator<LogLine>, head: ChainEnd | undefined, expect: readonly ChainEnd[]) {
    this.#lines = lines;
    this.#known = new Map([...(head && head.n > 0 ? [head] : []), ...expect].map(({ n, sha256 }) => [n, sha256]));
    this.#verdict = { entries: 0, files: 0, first: 0, last: EMPTY, ...(head && { head }), saysMissing: [] };
  }

  async run(): Promise<Verdict> {
    let first: SoundLine | undefined;
    let before: SoundLine | undefined;
    for (let line = await this.#next(); line; line = await this.#next()) {
      if (!isSound(line)) return this.#broken(line, 'unreadable', 'this line is no entry');
      if (before) {
        const found = await this.#compare(before, line);
        if (found) return { ...this.#verdict, break: found };
      }
      const known = this.#known.get(line.entry.n);
      if (known !== undefined && known !== line.sha256) return this.#broken(line, 'edited', `its hash was ${known}`);
      this.#count(line, before);
      first ??= line;
      before = line;
    }
    const atStart = first && this.#startProblem(first);
    if (atStart) return { ...this.#verdict, break: atStart };
    const newest = Math.max(0, ...this.#known.keys());
    const { last } = this.#verdict;
    if (newest <= last.n) return this.#verdict;
    const where = before ?? { file: '', line: 0 };
    const why = `entries ${last.n + 1} to ${newest} are missing at the end`;
    return {
      ...this.#verdict,
      break: { damage: 'missing', file: where.file, line: where.line + 1, n: last.n + 1, why },
    };
  }

  #count(line: SoundLine, before: SoundLine | undefined): void {
    const { entry, sha256, file } = line;
    const verdict = this.#verdict;
    if (!before) verdict.first = entry.n;
    if (before?.file !== file) verdict.files++;
    verdict.entries++;
    verdict.last = { n: entry.n, sha256 };
    if (entry.what === 'audit_missing') verdict.saysMissing.push(entry.n);
    if (entry.what === 'audit_removed') {
      this.#removed.push({ through: entry.about?.['through'], sha256: entry.about?.['sha256'] });
    }
  }

  /** Old files may be gone, if the log says which. */
  #startProblem(first: SoundLine): Break | undefined {
    const { n, prev } = first.entry;
    if (n === 1 && prev === EMPTY.sha256) return undefined;
    if (this.#removed.some(({ through, sha256 }) => through === n - 1 && sha256 === prev)) return undefined;
    if (n === 1) return breakAt(first, 'edited', 'the first entry names an entry before it');
    return breakAt(first, 'missing', `entries 1 to ${n - 1} are missing at the beginning`);
  }

  async #compare(before: SoundLine, line: SoundLine): Promise<Break | undefined> {
    const expected = before.entry.n + 1;
    const { n, prev } = line.entry;
    const fits = prev === before.sha256;
    if (n === expected && fits) return undefined;
    const next = await this.#peek();
    if (n === expected) {
      // The entry after this one tells which of the two is as it was written; after the last one the head does.
      const isOwn = next?.entry ? next.entry.prev === line.sha256 : this.#known.get(n) === line.sha256;
      if (isOwn) return breakAt(before, 'edited', `entry ${n} names another hash for it`);
      return breakAt(line, 'edited', 'it does not name the entry before it, and the entry after it does not name it');
    }
    if (n > expected) {
      if (next?.entry?.n === expected + 1) return breakAt(line, 'edited', `it stands where entry ${expected} was`);
      const isLater = await this.#hasLater(expected);
      if (isLater) return breakAt(line, 'reordered', `entry ${expected} comes after it`);
      const missing = expected === n - 1 ? `entry ${expected} is` : `entries ${expected} to ${n - 1} are`;
      return breakAt(line, 'missing', `${missing} missing before it`);
    }
    const isOther = n === before.entry.n && line.sha256 !== before.sha256;
    if (isOther && next?.entry?.prev === line.sha256) {
      return breakAt(before, 'inserted', `another entry ${n} follows, which the rest of the log names`);
    }
    return breakAt(line, 'inserted', `entry ${before.entry.n} stands before it already`);
  }

  async #hasLater(n: number): Promise<boolean> {
    for (let line = await this.#next(); line; line = await this.#next()) if (line.entry?.n === n) return true;
    return false;
  }

  #broken(line: LogLine, damage: Damage, why: string): Verdict {
    return { ...this.#verdict, break: breakAt(line, damage, why) };
  }

  async #next(): Promise<LogLine | undefined> {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    if (ahead) return ahead;
    const { value, done } = await this.#lines.next();
    return done === true ? undefined : value;
  }

  async #peek(): Promise<LogLine | undefined> {
    this.#ahead ??= await this.#next();
    return this.#ahead;
  }
}

function isSound(line: LogLine): line is SoundLine {
  return line.entry !== undefined;
}

function breakAt({ file, line, entry }: LogLine, damage: Damage, why: string): Break {
  return { damage, file, line, ...(entry && { n: entry.n }), why };
}
