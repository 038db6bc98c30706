/** The audit log's entries and the verdict on its chain, as text for people. Pure. */
import type { ChainedEntry } from '../../audit/chain.js';
import type { Verdict } from '../../audit/verify.js';
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
  const { entries, files, first, last, head, saysMissing } = verdict;
  if (entries === 0 && !verdict.break) return 'The audit log is empty, and nothing says that it was not.\n';
  const lines = [`${counted(entries, 'entry', 'entries')} in ${counted(files, 'file')}, from ${first} to ${last.n}.`];
  if (saysMissing.length > 0) {
    const shown = saysMissing.slice(0, 10).join(', ') + (saysMissing.length > 10 ? ', …' : '');
    lines.push(`In ${saysMissing.length} of them the log itself says that entries are missing: ${shown}.`);
  }
  if (verdict.break) {
    const { file, line, n, damage, why } = verdict.break;
    const named = n === undefined ? '' : `, entry ${n}`;
    lines.push(`BROKEN: ${file} line ${line}${named}: ${damage}: ${why}.`);
    return `${lines.join('\n')}\n`;
  }
  lines.push('The chain is whole.');
  if (!head) lines.push('There is no audit-head, so it is not proven that this is its end.');
  else if (head.n < last.n) lines.push(`The end is proven to entry ${head.n}; later ones are not on the disk yet.`);
  lines.push(`To prove this state later, keep elsewhere: ${last.n}:${last.sha256}`);
  return `${lines.join('\n')}\n`;
}
