/** Reads what failed, and why, out of the TAP of a whole run. Used by the test command. */

/** Diagnostics that say how tap ran a file, not what went wrong in it. */
const NOISE = /^\s*(stdio|cwd|externalID|command|args|jobId):|^\s*- (--|\/)/;

interface Open {
  name: string;
  /** Something in it has failed, and has been told. */
  failed: boolean;
}

/** Every failed assertion: `✖ file > test > assertion`, then its diagnostics as they stand in the TAP. */
export function listFailures(tap: string): string[] {
  const lines: string[] = [];
  const open: Open[] = [];
  let telling = false;
  let diagnosticsEnd: string | undefined;
  for (const line of tap.split('\n')) {
    if (diagnosticsEnd !== undefined) {
      if (line === diagnosticsEnd) diagnosticsEnd = undefined;
      else if (telling && !NOISE.test(line)) lines.push(line);
      continue;
    }
    if (line.trim() === '---') {
      diagnosticsEnd = line.replace('---', '...');
      continue;
    }
    const [, indent = '', kind = '', rest = ''] = /^( *)(# Subtest: |not ok \d+ ?-? ?|ok \d+)(.*)$/.exec(line) ?? [];
    if (kind === '') continue;
    const level = indent.length / 4;
    if (kind.startsWith('#')) {
      open.length = Math.min(open.length, level);
      open.push({ name: rest, failed: false });
      continue;
    }
    const ended = open.length > level ? open[level] : undefined;
    open.length = Math.min(open.length, level);
    telling = false;
    if (kind.startsWith('ok')) continue;
    const name = rest.replace(/ # time=.*$/, '');
    telling = !(ended?.name === name && ended.failed);
    if (telling) lines.push(`✖ ${[...open.map(({ name }) => name), name].join(' > ')}`);
    for (const outer of open) outer.failed = true;
  }
  return lines;
}
