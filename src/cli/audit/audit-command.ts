/** The command line of `fairlead audit`. Command line's process. */
import { InvalidArgumentError, type Command } from 'commander';
import type { AuditCommands } from './audit.js';

const DEFAULT_LINES = 20;

interface Shared {
  json?: boolean;
}

export function addAuditCommand(program: Command): void {
  const audit = program
    .command('audit')
    .description('show, search and verify the audit log in the data folder')
    .addHelpText(
      'after',
      `
Reads the files of FAIRLEAD_DATA (default fairlead-data), also while the server runs. What is recorded: docs/audit.md.

Examples:
  $ fairlead audit tail -f
  $ fairlead audit search --user ada --what tool --from 2026-11-30
  $ fairlead audit verify                 exits with 1 and names the first entry that is not as it was written;
                                         with 2 where nothing is missing but what the log itself says
  $ fairlead audit verify --after 300:HASH   only what follows an entry that an earlier verify has printed`,
    );

  audit
    .command('tail')
    .description('the newest entries')
    .option('-n, --lines <count>', 'so many', readCount, DEFAULT_LINES)
    .option('-f, --follow', 'and those that come')
    .option('--json', 'print the lines as they stand in the files')
    .action(async ({ lines, follow = false, json }: Shared & { lines: number; follow?: boolean }) => {
      const stop = new AbortController();
      process.once('SIGINT', () => stop.abort());
      const commands = await open(json);
      await commands.tail({ lines, follow, signal: stop.signal });
    });

  audit
    .command('search')
    .description('the entries that fit all that is given')
    .option('--user <name>', 'of this user')
    .option('--session <id>', 'in this session')
    .option('--what <act>', 'of this act, or of all acts that begin so: login_failed, tool')
    .option('--outcome <outcome>', 'ok, refused or failed')
    .option('--from <time>', 'from this day or time on, UTC unless it says otherwise')
    .option('--to <time>', 'until this time, or to the end of this day')
    .option('--json', 'print the lines as they stand in the files')
    .action(async ({ json, ...filter }: Shared & Parameters<AuditCommands['search']>[0]) => {
      await (await open(json)).search(filter);
    });

  audit
    .command('verify')
    .description('check the chain, and name the first entry that is not as it was written')
    .option('--expect <known...>', 'NUMBER:HASH of an entry, as an earlier verify has printed it')
    .option('--after <known>', 'NUMBER:HASH of an entry: look only at what follows it')
    .option('--json', 'print JSON')
    .action(async ({ json, expect = [], after }: Shared & { expect?: string[]; after?: string }) => {
      process.exitCode = await (await open(json)).verify(expect, after);
    });
}

function readCount(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It is a number of entries.');
}

async function open(json = false): Promise<AuditCommands> {
  const [{ AuditCommands }, { dataDirOf }] = await Promise.all([
    import('./audit.js'),
    import('../../shared/config.js'),
  ]);
  return new AuditCommands({ dataDir: dataDirOf(), json, write: (text) => void process.stdout.write(text) });
}
