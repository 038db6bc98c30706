/** The audit log's entries and the verdict on its chain, as text for people. Pure. */
import type { ChainedEntry } from '../../audit/chain.js';
import type { Break, Verdict } from '../../audit/verify.js';
import { escapeControls } from '../../shared/control-characters.js';
import { counted } from '../../shared/counted.js';

/** One line. Foreign text in it cannot move a terminal's cursor. */
export function entryText({ n, at, what, outcome, user, credential, address, session, about }: ChainedEntry): string {
  const facts = Object.entries(about ?? {}).map(([name, fact]) => `${name}=${factText(fact)}`);
  const who = user === undefined ? '-' : user + (credential === undefined ? '' : ` (${credential})`);
  const shown = outcome === 'ok' ? what : `${what} ${outcome}`;
  const parts = [at, `#${n}`, shown, who, address === undefined ? '' : `from ${address}`, session ?? '', ...facts];
  return escapeControls(parts.filter((part) => part !== '').join('  ')).replaceAll(/[\n\t]/g, ' ');
}

function factText(fact: unknown): string {
  const text = typeof fact === 'string' ? fact : JSON.stringify(fact);
  return /[\s="]/.test(text) ? JSON.stringify(text) : text;
}

export function verdictText(verdict: Verdict): string {
  const { entries, files, first, last, head, saysMissing, admitted } = verdict;
  if (entries === 0 && !verdict.break) return 'The audit log is empty, and nothing says that it was not.\n';
  const lines = [`${counted(entries, 'entry', 'entries')} in ${counted(files, 'file')}, from ${first} to ${last.n}.`];
  if (saysMissing.length > 0) {
    const shown = saysMissing.slice(0, 10).join(', ') + (saysMissing.length > 10 ? ', …' : '');
    lines.push(`In ${saysMissing.length} of them the log itself says that entries are missing: ${shown}.`);
  }
  for (const each of admitted) lines.push(`ADMITTED: ${breakText(each)}; entry ${each.saidBy} says so.`);
  if (verdict.break) {
    lines.push(`BROKEN: ${breakText(verdict.break)}.`);
    return `${lines.join('\n')}\n`;
  }
  lines.push(
    hasAdmitted(verdict) ? 'Nothing is missing or damaged but what the log itself says.' : 'The chain is whole.',
  );
  if (head && head.n < last.n) lines.push(`The end is proven to entry ${head.n}; later ones are not on the disk yet.`);
  lines.push(`To prove this state later, keep elsewhere: ${last.n}:${last.sha256}`);
  return `${lines.join('\n')}\n`;
}

function breakText({ file, line, n, damage, why }: Break): string {
  const place = [file === '' ? '' : `${file} line ${line}`, n === undefined ? '' : `entry ${n}`];
  return `${place.filter((each) => each !== '').join(', ')}: ${damage}: ${why}`;
}

/** The log says of itself that something is missing or damaged. */
export function hasAdmitted({ admitted, saysMissing }: Verdict): boolean {
  return admitted.length > 0 || saysMissing.length > 0;
}
