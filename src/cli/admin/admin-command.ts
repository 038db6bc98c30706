/** The command line of `fairlead admin`. Command line's process. */
import type { Command } from 'commander';
import { URL_HELP } from '../defaults.js';
import { colorsFor } from '../report.js';
import type {
  ActFlags,
  AdminCommands,
  DrainFlags,
  EndSandboxFlags,
  PageFlags,
  SandboxListFlags,
  SessionListFlags,
} from './admin.js';

interface ServerFlags {
  url?: string;
  token?: string;
  json?: boolean;
  insecure?: boolean;
}

/** `tokenHelp`: what `--token` is by default. */
export function addAdminCommand(program: Command, tokenHelp: string): void {
  const onServer = (command: Command, role: 'operator' | 'admin'): Command =>
    command
      .option('--url <url>', URL_HELP)
      .option('--token <token>', `${tokenHelp}; its role must be ${role === 'admin' ? 'admin' : 'operator or admin'}`)
      .option('--insecure', 'send the token over plain http beyond this machine')
      .option('--json', 'print JSON');
  const paged = (command: Command): Command =>
    onServer(command, 'operator')
      .option('--limit <n>', 'so many at most')
      .option('--after <place>', 'what follows a list that was cut, as that list names it');
  const asking = (command: Command): Command =>
    onServer(command, 'admin').option('--yes', 'do not ask; needed where there is no terminal');

  const admin = program
    .command('admin')
    .description('see and change a running server: users, sessions, sandboxes')
    .addHelpText(
      'after',
      `
Operators see, administrators change; nobody reads what was said. Every act is in the audit log. docs/administer.md says more.

Examples:
  $ fairlead admin sessions list --user ada --unused 30d
  $ fairlead admin sessions end MJ3EFvyPSDjyiygLQq-gYdqn
  $ fairlead admin users list
  $ fairlead admin users kick ada
  $ fairlead admin drain --wait --timeout 10m`,
    );

  const sessions = admin.command('sessions').description('list, end and delete sessions');
  paged(sessions.command('list'))
    .description('list sessions, last active first')
    .option('--user <name>', 'of this user alone')
    .option('--state <state>', 'running, waiting (for its user) or idle')
    .option('--unused <time>', 'not used for so long: 30m, 12h, 90d')
    .option('--larger <size>', 'with a history of at least so much: 10MB')
    .action(async (flags: ServerFlags & SessionListFlags) => (await commandsOf(flags)).sessions(flags));
  asking(sessions.command('end'))
    .description('stop a session’s turns, save and end its sandboxes, close its connections; it stays')
    .argument('<session>', 'its id')
    .action(async (id: string, flags: ServerFlags & ActFlags) => (await commandsOf(flags)).endSession(id, flags));
  asking(sessions.command('delete'))
    .description('delete a session with its history and files')
    .argument('<session>', 'its id')
    .action(async (id: string, flags: ServerFlags & ActFlags) => (await commandsOf(flags)).deleteSession(id, flags));

  const sandboxes = admin.command('sandboxes').description('list and end the sandboxes of the server that is asked');
  paged(sandboxes.command('list'))
    .description('list sandboxes with their sessions, age, image and memory; warm ones have no session')
    .option('--user <name>', 'of this user alone')
    .option('--session <id>', 'of this session alone')
    .action(async (flags: ServerFlags & SandboxListFlags) => (await commandsOf(flags)).sandboxes(flags));
  asking(sandboxes.command('end'))
    .description('save a sandbox’s files and end it; its session goes on with a fresh one')
    .argument('<sandbox>', 'its id, or at least the first 12 characters')
    .option('--discard', 'also where its files cannot be saved')
    .action(async (id: string, flags: ServerFlags & EndSandboxFlags) =>
      (await commandsOf(flags)).endSandbox(id, flags),
    );

  onServer(admin.command('drain'), 'admin')
    .description('take nothing new at this server: running turns end, clients are told to go elsewhere')
    .option('--wait', 'return when nothing runs any more')
    .option('--timeout <time>', 'with --wait: fail after 30s, 10m, 1h; the server goes on draining')
    .action(async (flags: ServerFlags & DrainFlags) => (await commandsOf(flags)).drain(flags));
  onServer(admin.command('undrain'), 'admin')
    .description('take work again after `drain`')
    .action(async (flags: ServerFlags) => (await commandsOf(flags)).undrain());

  const users = admin.command('users').description('list users, and what administrators do with one');
  paged(users.command('list'))
    .description('list every user who has sessions, tokens, connections or a block, or was seen in the last 30 days')
    .action(async (flags: ServerFlags & PageFlags) => (await commandsOf(flags)).users(flags));
  onServer(users.command('show'), 'operator')
    .description('show what there is of a user: sessions, connections, tokens, last seen, use')
    .argument('<name>', 'the user')
    .action(async (name: string, flags: ServerFlags) => (await commandsOf(flags)).user(name));
  onServer(users.command('export'), 'admin')
    .description(
      'write all that is kept of a user to a file (tar); needs auth.support, and each session’s user is told',
    )
    .argument('<name>', 'the user')
    .argument('<file>', 'the file, which must not exist yet')
    .action(async (name: string, file: string, flags: ServerFlags) => (await commandsOf(flags)).exportUser(name, file));
  asking(users.command('delete'))
    .description('delete a user with everything that is theirs, also in the middle of a turn')
    .argument('<name>', 'the user')
    .action(async (name: string, flags: ServerFlags & ActFlags) => (await commandsOf(flags)).deleteUser(name, flags));
  asking(users.command('kick'))
    .description('close all connections of a user, at every server; the user may come back: see `fairlead user block`')
    .argument('<name>', 'the user')
    .action(async (name: string, flags: ServerFlags & ActFlags) => (await commandsOf(flags)).kick(name, flags));
}

async function commandsOf({ url: given, token, json = false, insecure = false }: ServerFlags): Promise<AdminCommands> {
  const [{ AdminCommands }, { tokenFor }, { urlOr }] = await Promise.all([
    import('./admin.js'),
    import('../local-token.js'),
    import('../local-url.js'),
  ]);
  const url = urlOr(given);
  return new AdminCommands({
    url,
    token: tokenFor({ given: token, url }).token,
    json,
    insecure,
    colors: colorsFor(process.stdout),
    write: (text) => void process.stdout.write(text),
    note: (text) => void process.stderr.write(text),
  });
}
