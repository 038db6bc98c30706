/** Finds text whatever its line ends are, and replaces it with those of the file. Pure; runs in the sandbox. */

export interface Match {
  start: number;
  end: number;
  /** The last line end of what was wanted is the end of a file that does not end in one. */
  atBareEnd: boolean;
}

const MARK = '\uFEFF';
const LINE_END = /\r\n|\n|\r/;

/**
 * The places of `wanted`, not overlapping. They match exactly; where none does, or `all` are wanted, a line end matches any
 * other, and the end of the file matches the last one. A byte order mark stays out of it.
 */
export function findText(text: string, wanted: string, all: boolean): Match[] {
  const exact = occurrences(text, wanted)
    .map((start) => ({ start, end: start + wanted.length, atBareEnd: false }))
    .filter(({ start, end }) => !splitsPair(text, start) && !splitsPair(text, end));
  if (exact.length > 0 && !all) return exact;
  const bare = wanted.length > 1 && wanted.startsWith(MARK) && !text.startsWith(MARK) ? wanted.slice(1) : wanted;
  const loose = findLoosely(text, bare.replaceAll(/\r\n?/g, '\n'));
  return loose.length > exact.length ? loose : exact;
}

/** `given` takes the line ends of each place, and a mark at the file's beginning stays. */
export function replaceText(text: string, matches: readonly Match[], given: string): string {
  const parts: string[] = [];
  let at = 0;
  for (const match of matches) {
    const marked = match.start === MARK.length && text.startsWith(MARK) && given.startsWith(MARK);
    const unmarked = marked ? given.slice(MARK.length) : given;
    const replacement = match.atBareEnd ? unmarked.replace(/\r?\n$/, '') : unmarked;
    const lineEnd = lineEndAt(text, match);
    parts.push(text.slice(at, match.start));
    parts.push(lineEnd === undefined ? replacement : replacement.replaceAll(/\r?\n/g, lineEnd));
    at = match.end;
  }
  const result = [...parts, text.slice(at)].join('');
  return text.startsWith(MARK) && !result.startsWith(MARK) ? MARK + result : result;
}

export function lineOf(text: string, at: number): number {
  return text.slice(0, at).split(LINE_END).length;
}

function occurrences(text: string, wanted: string): number[] {
  const found: number[] = [];
  for (let at = text.indexOf(wanted); at !== -1; at = text.indexOf(wanted, at + wanted.length)) found.push(at);
  return found;
}

function splitsPair(text: string, at: number): boolean {
  return text[at - 1] === '\r' && text[at] === '\n';
}

/** `wanted` has `\n` alone. */
function findLoosely(text: string, wanted: string): Match[] {
  // Where a pair stands in the text with single line ends; each one moves what follows by one.
  const pairs: number[] = [];
  const single = text.replaceAll(/\r\n?/g, (lineEnd, at: number) => {
    if (lineEnd.length === 2) pairs.push(at - pairs.length);
    return '\n';
  });
  const isBare = !single.endsWith('\n') && wanted.length > 1 && wanted.endsWith('\n');
  let passed = 0;
  const inText = (at: number): number => {
    while (passed < pairs.length && pairs[passed]! < at) passed++;
    return at + passed;
  };
  return occurrences(isBare ? `${single}\n` : single, wanted).map((start) => {
    const end = start + wanted.length;
    const atBareEnd = end > single.length;
    return { start: inText(start), end: inText(Math.min(end, single.length)), atBareEnd };
  });
}

/** The match's own first line end, else the next one in the file, else the one before it. */
function lineEndAt(text: string, { start, end }: Match): string | undefined {
  const own = LINE_END.exec(text.slice(start, end));
  if (own) return own[0];
  const after = /\r\n|\n|\r/g;
  after.lastIndex = end;
  const next = after.exec(text);
  if (next) return next[0];
  const before = Math.max(text.lastIndexOf('\n', start - 1), text.lastIndexOf('\r', start - 1));
  if (start === 0 || before === -1) return undefined;
  return text.slice(splitsPair(text, before) ? before - 1 : before, before + 1);
}
