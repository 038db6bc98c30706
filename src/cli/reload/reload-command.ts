/** The command line of `fairlead reload`. Command line's process. */
import type { Command } from 'commander';
import { URL_HELP } from '../defaults.js';

interface ReloadFlags {
  pid?: string;
  url?: string;
  token?: string;
  insecure?: boolean;
  json?: boolean;
}

function write(text: string): void {
  process.stdout.write(text);
}

export function addReloadCommand(program: Command, tokenHelp: string): void {
  program
    .command('reload')
    .description('have a running server read its configuration file again')
    .option('--pid <pid>', 'ask this process of this machine by a signal, without a token, as systemd does')
    .option('--url <url>', URL_HELP)
    .option('--token <token>', `${tokenHelp}; needs the role admin`)
    .option('--insecure', 'send the token over plain http beyond this machine')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Either all of the file counts from then on, but for the keys that need a restart, which are named, or nothing changes and every
problem is named. Nobody is disconnected, except who came with a token that the file no longer has.
Exits with 1 when nothing was taken. docs/configuration.md says which keys are live.

Examples:
  $ fairlead reload
  $ fairlead reload --url https://ai.example.org --token flt_…
  $ fairlead reload --pid "$(systemctl show --value --property MainPID fairlead)"`,
    )
    .action(async ({ pid, url: given, token, insecure = false, json = false }: ReloadFlags) => {
      const { reloadByHttp, reloadBySignal } = await import('./reload.js');
      if (pid !== undefined) return reloadBySignal({ pid, json, write });
      const [{ tokenFor }, { urlOr }] = await Promise.all([import('../local-token.js'), import('../local-url.js')]);
      const url = urlOr(given);
      return reloadByHttp({ url, token: tokenFor({ given: token, url }).token, insecure, json, write });
    });
}
