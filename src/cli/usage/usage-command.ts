/** The command line of `fairlead usage`. Command line's process. */
import type { Command } from 'commander';
import { URL_HELP } from '../defaults.js';

interface UsageFlags {
  by?: string;
  user?: string;
  from?: string;
  to?: string;
  url?: string;
  token?: string;
  insecure?: boolean;
  csv?: boolean;
  json?: boolean;
}

export function addUsageCommand(program: Command): void {
  program
    .command('usage')
    .description('show who has used how many tokens and how much money')
    .option(
      '--by <kind>',
      'user, group, model or day of everybody; needs the role operator. Without it: your own, by day',
    )
    .option('--user <name>', 'of this user alone, by day or model; needs the role operator')
    .option('--from <day>', 'the first day, YYYY-MM-DD in UTC (default: the first of this month)')
    .option('--to <day>', 'the last day (default: today)')
    .option('--url <url>', URL_HELP)
    .option(
      '--token <token>',
      'bearer token (default: FAIRLEAD_TOKEN; for this machine’s server the one in its data folder)',
    )
    .option('--insecure', 'send the token over plain http beyond this machine')
    .option('--csv', 'print CSV')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Use is counted by day in UTC and kept for usage.keepDays. Prices and budgets: docs/budgets.md.

Examples:
  $ fairlead usage                        your own use this month, day by day, and what is left of your budgets
  $ fairlead usage --by user --from 2026-11-01 --to 2026-11-30
  $ fairlead usage --by model --csv > models.csv`,
    )
    .action(async ({ url: given, token, insecure = false, csv = false, json = false, ...asked }: UsageFlags) => {
      const [{ printUsage }, { tokenFor }, { urlOr }] = await Promise.all([
        import('./usage.js'),
        import('../local-token.js'),
        import('../local-url.js'),
      ]);
      const url = urlOr(given);
      await printUsage({
        ...asked,
        url,
        token: tokenFor({ given: token, url }).token,
        insecure,
        format: csv ? 'csv' : json ? 'json' : 'text',
        write: (text) => void process.stdout.write(text),
      });
    });
}
