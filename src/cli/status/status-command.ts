/** The command line of `fairlead status`. Command line's process. */
import type { Command } from 'commander';
import { URL_HELP } from '../defaults.js';

interface StatusFlags {
  url?: string;
  token?: string;
  unit: string;
  insecure?: boolean;
  json?: boolean;
  watch?: boolean;
}

export function addStatusCommand(program: Command, tokenHelp: string): void {
  program
    .command('status')
    .description(
      'show how the server does: since when, people, turns, sandboxes, what is wrong; also when it does not run',
    )
    .option('--url <url>', URL_HELP)
    .option('--token <token>', tokenHelp)
    .option('--unit <name>', 'the systemd unit that is asked why it does not run', 'fairlead.service')
    .option('--insecure', 'send the token over plain http beyond this machine')
    .option('--json', 'print JSON')
    .option('--watch', 'look again every two seconds, until Ctrl-C; with --json a line each time')
    .addHelpText(
      'after',
      `
Exits with 0 when the server is ready, else with 1. The numbers need the role operator; the token of the data folder has it.

Examples:
  $ fairlead status
  $ fairlead status --watch
  $ fairlead status --json
  $ fairlead status --url https://ai.example.org --token flt_…`,
    )
    .action(async ({ url, token, unit, insecure = false, json = false, watch = false }: StatusFlags) => {
      const [{ StatusLook }, { statusText }, { tokenFor }, { localUrl }, { colorsFor }] = await Promise.all([
        import('./status.js'),
        import('./status-text.js'),
        import('../local-token.js'),
        import('../local-url.js'),
        import('../report.js'),
      ]);
      const { url: at, isGuess } = url === undefined ? localUrl() : { url, isGuess: false };
      const look = new StatusLook({
        url: at,
        token: () => tokenFor({ given: token, url: at }).token,
        insecure,
        unit,
        isGuess,
      });
      const colors = colorsFor(process.stdout);
      const show = async (): Promise<boolean> => {
        const seen = await look.now();
        const text = json ? `${JSON.stringify(seen, null, watch ? 0 : 2)}\n` : statusText(seen, colors);
        // Each look takes the place of the one before.
        const clear = watch && !json && process.stdout.isTTY ? '\u001b[H\u001b[J' : '';
        process.stdout.write(clear + text);
        return seen.state === 'ready';
      };
      if (watch) return look.repeat(show);
      process.exitCode = (await show()) ? 0 : 1;
    });
}
