/** Adds `token create|list|revoke` and `user …` to the command line; loads what they need when they run. Command line's process. */
import type { Command } from 'commander';
import { URL_HELP } from '../defaults.js';
import { colorsFor } from '../report.js';
import type { CreateFlags, CredentialCommands } from './credentials.js';

interface ServerFlags {
  url?: string;
  token?: string;
  json?: boolean;
  insecure?: boolean;
}

/** `token` is the command `fairlead token`, which makes a line for the configuration when it is given a name. */
export function addCredentialCommands(program: Command, token: Command, tokenHelp: string): void {
  const onServer = (command: Command): Command =>
    command
      .option('--url <url>', URL_HELP)
      .option('--token <token>', `${tokenHelp}; its role must be admin`)
      .option('--insecure', 'send the token over plain http beyond this machine')
      .option('--json', 'print JSON');

  onServer(token.command('create'))
    .description('make a token on a running server: it is valid at once, and no configuration changes')
    .argument('<name>', 'the user')
    .option('--expires <time>', 'when it ends by itself: 90d, 12h, 30m, 8w, 1y (default: never)')
    .option('--role <role>', 'user, operator or admin', 'user')
    .option('--group <group>', 'a group of the user; may be repeated', append, [])
    .option('--note <text>', 'what it is for, for the list')
    .option('--quiet', 'print only the token')
    .addHelpText(
      'after',
      `
Examples:
  $ fairlead token create ada --expires 90d --group analysts
  $ fairlead token create ci --role user --note "nightly job" --quiet`,
    )
    .action(async (name: string, flags: ServerFlags & CreateFlags, command: Command) => {
      // `fairlead token` has a --quiet of its own, which takes this one.
      const { quiet = false } = command.optsWithGlobals<CreateFlags>();
      await (await commandsOf(flags)).create(name, { ...flags, quiet });
    });

  onServer(token.command('list'))
    .description('list the tokens that were made on the server: whose, until when, last used when and from where')
    .argument('[name]', 'only those of this user')
    .action(async (name: string | undefined, flags: ServerFlags) => (await commandsOf(flags)).list(name));

  onServer(token.command('revoke'))
    .description('end tokens: their connections close within a second, on every server')
    .argument('<ids...>', 'as `fairlead token list` shows them (tok_…)')
    .action(async (ids: string[], flags: ServerFlags) => (await commandsOf(flags)).revoke(ids));

  const user = program.command('user').description('block and unblock users of a running server, and list them');
  onServer(user.command('list'))
    .description(
      'list users with a token that was made on the server, connected and blocked ones; all: `admin users list`',
    )
    .action(async (flags: ServerFlags) => (await commandsOf(flags)).users());
  onServer(user.command('block'))
    .description('let a user in no more, with any credential; their connections close and their turns stop')
    .argument('<name>', 'the user')
    .option('--reason <text>', 'for the list and the audit log')
    .action(async (name: string, flags: ServerFlags & { reason?: string }) =>
      (await commandsOf(flags)).block(name, flags.reason),
    );
  onServer(user.command('unblock'))
    .description('let a blocked user in again')
    .argument('<name>', 'the user')
    .action(async (name: string, flags: ServerFlags) => (await commandsOf(flags)).unblock(name));
}

function append(value: string, before: string[]): string[] {
  return [...before, value];
}

async function commandsOf({
  url: given,
  token,
  json = false,
  insecure = false,
}: ServerFlags): Promise<CredentialCommands> {
  const [{ CredentialCommands }, { tokenFor }, { urlOr }] = await Promise.all([
    import('./credentials.js'),
    import('../local-token.js'),
    import('../local-url.js'),
  ]);
  const url = urlOr(given);
  return new CredentialCommands({
    url,
    token: tokenFor({ given: token, url }).token,
    json,
    insecure,
    colors: colorsFor(process.stdout),
    write: (text) => void process.stdout.write(text),
  });
}
