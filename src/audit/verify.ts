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

export interface Admitted extends Break {
  /** The number of the entry that says so. */
  saidBy: number;
}

export interface Known {
  /** Entries whose hash is known from elsewhere. */
  expect?: readonly ChainEnd[];
  /** An entry up to which the log was verified before: only what follows it is looked at. */
  after?: ChainEnd;
}

/** An entry `audit_missing` that says which entries, or of which file lines, are not as they were written. */
interface Admission {
  n: number;
  from?: unknown;
  to?: unknown;
  file?: unknown;
}

/** Entries about the log's failure and about old files may stand before the entry that admits a gap. */
const ADMITTED_WITHIN = 4;

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
  /** Damage that a later entry admits: the check goes on behind it. */
  admitted: Admitted[];
  break?: Break;
}

interface SoundLine extends LogLine {
  entry: ChainedEntry;
}

export async function verifyLog(dataDir: string, known: Known = {}): Promise<Verdict> {
  const folder = auditFolder(dataDir);
  // Before the files: what it names is on the disk already.
  const found = await readHead(headFile(dataDir));
  const lines = readLog(folder);
  try {
    const head = typeof found === 'string' ? undefined : found;
    const verdict = await new Verifier(lines, head, { ...known, admissions: () => readAdmissions(folder) }).run();
    const isProven = (known.expect ?? []).some(({ n }) => n === verdict.last.n);
    if (verdict.break || typeof found !== 'string' || isProven) return verdict;
    // A first start may have made it meanwhile.
    const now = await readHead(headFile(dataDir));
    if (typeof now !== 'string' || (now === 'missing' && verdict.entries === 0)) return verdict;
    const damage = now === 'missing' ? now : 'unreadable';
    const why = `audit-head is ${now}, so nothing proves that entry ${verdict.last.n} is the last`;
    return { ...verdict, break: { damage, file: 'audit-head', line: 1, why } };
  } finally {
    await lines.return(undefined);
  }
}

async function readAdmissions(folder: string): Promise<Admission[]> {
  const admissions: Admission[] = [];
  for await (const { entry } of readLog(folder)) {
    if (entry?.what === 'audit_missing') admissions.push({ ...entry.about, n: entry.n });
  }
  return admissions;
}

class Verifier {
  readonly #lines: AsyncGenerator<LogLine>;
  readonly #known: ReadonlyMap<number, string>;
  readonly #verdict: Verdict;
  #removed: { through: unknown; sha256: unknown }[] = [];
  #ahead: LogLine | undefined;
  readonly #after: ChainEnd | undefined;
  readonly #unseen: Set<number>;
  readonly #readAdmissions: () => Promise<Admission[]>;
  #admissions: Admission[] | undefined;

  constructor(
    lines: AsyncGenerator<LogLine>,
    head: ChainEnd | undefined,
    { expect = [], after, admissions }: Known & { admissions: () => Promise<Admission[]> },
  ) {
    this.#lines = lines;
    this.#after = after;
    this.#unseen = new Set(expect.map(({ n }) => n));
    this.#readAdmissions = admissions;
    this.#known = new Map([...(head && head.n > 0 ? [head] : []), ...expect].map(({ n, sha256 }) => [n, sha256]));
    this.#verdict = {
      entries: 0,
      files: 0,
      first: 0,
      last: EMPTY,
      ...(head && { head }),
      saysMissing: [],
      admitted: [],
    };
  }

  async run(): Promise<Verdict> {
    let first: SoundLine | undefined;
    let before: SoundLine | undefined;
    if (this.#after) {
      before = await this.#skipTo(this.#after);
      if (!before) return { ...this.#verdict, break: notThere(this.#after, 'after which to begin') };
      this.#verdict.last = this.#after;
      first = before;
    }
    for (let line = await this.#next(); line; line = await this.#next()) {
      if (!isSound(line)) {
        const found = breakAt(line, 'unreadable', 'this line is no entry');
        const saidBy = await this.#saidBy(({ file }) => file === line.file);
        if (saidBy === undefined) return { ...this.#verdict, break: found };
        this.#verdict.admitted.push({ ...found, saidBy });
        continue;
      }
      const found = await this.#gapAdmitted(before, line);
      if (found) this.#verdict.admitted.push(found);
      else if (before) {
        const found = await this.#compare(before, line);
        if (found) return { ...this.#verdict, break: found };
      }
      const atPrev = this.#known.get(line.entry.n - 1);
      if (atPrev === line.entry.prev) this.#unseen.delete(line.entry.n - 1);
      else if (found && atPrev !== undefined) {
        return this.#broken(line, 'edited', `it names another hash than ${atPrev} for entry ${line.entry.n - 1}`);
      }
      this.#unseen.delete(line.entry.n);
      const known = this.#known.get(line.entry.n);
      if (known !== undefined && known !== line.sha256) return this.#broken(line, 'edited', `its hash was ${known}`);
      this.#count(line, before);
      first ??= line;
      before = line;
    }
    const isBegun = this.#after !== undefined || this.#verdict.admitted[0]?.n === first?.entry.n;
    const atStart = first && !isBegun && this.#startProblem(first);
    if (atStart) return { ...this.#verdict, break: atStart };
    const newest = Math.max(0, ...this.#known.keys());
    const { last } = this.#verdict;
    if (newest <= last.n) {
      const unseen = [...this.#unseen].find((n) => n > (this.#after?.n ?? 0));
      if (unseen === undefined) return this.#verdict;
      return { ...this.#verdict, break: notThere({ n: unseen }, 'that is expected') };
    }
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

  async #skipTo({ n, sha256 }: ChainEnd): Promise<SoundLine | undefined> {
    for (let line = await this.#next(); line; line = await this.#next()) {
      if (isSound(line) && line.entry.n === n && line.sha256 === sha256) return line;
    }
    return undefined;
  }

  /** Entries before this one are missing, and it or one close behind it says so. */
  async #gapAdmitted(before: SoundLine | undefined, line: SoundLine): Promise<Admitted | undefined> {
    const { n } = line.entry;
    const expected = (before?.entry.n ?? 0) + 1;
    if (n <= expected) return undefined;
    const saidBy = await this.#saidBy(
      ({ n: by, from, to }) =>
        typeof from === 'number' && from <= expected && to === n - 1 && by >= n && by < n + ADMITTED_WITHIN,
    );
    if (saidBy === undefined) return undefined;
    return { ...breakAt(line, 'missing', missingWords(expected, n - 1)), saidBy };
  }

  /** They are read only where something is damaged: a sound log is read once. */
  async #saidBy(says: (admission: Admission) => boolean): Promise<number | undefined> {
    this.#admissions ??= await this.#readAdmissions();
    return this.#admissions.find(says)?.n;
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
      return breakAt(line, 'missing', missingWords(expected, n - 1));
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

function missingWords(from: number, to: number): string {
  return `${from === to ? `entry ${from} is` : `entries ${from} to ${to} are`} missing before it`;
}

function notThere({ n }: Pick<ChainEnd, 'n'>, which: string): Break {
  return { damage: 'missing', file: '', line: 0, n, why: `the entry ${which} is not there with this hash` };
}
