#!/usr/bin/env node
/** The command `fairlead`: reads the command line, loads only what the command needs, and sets the exit code. Command line's process; main thread of `serve`. */
import { Command, CommanderError } from 'commander';
import { URL_HELP } from './cli/defaults.js';
import { addCredentialCommands } from './cli/credentials/register.js';
import { addExportCommand } from './cli/export/export-command.js';
import type { McpCommands } from './cli/mcp/mcp.js';
import { addAdminCommand } from './cli/admin/admin-command.js';
import { addBackupCommands } from './cli/backup/backup-command.js';
import { addPageCommands } from './cli/pages/register.js';
import { addAuditCommand } from './cli/audit/audit-command.js';
import { addServiceCommands } from './cli/service/register.js';
import { addStatusCommand } from './cli/status/status-command.js';
import { addUsageCommand } from './cli/usage/usage-command.js';
import { addReloadCommand } from './cli/reload/reload-command.js';
import { addPolicyCommand } from './cli/policy/policy-command.js';
import { colorsFor, describeError } from './cli/report.js';
import { VERSION } from './shared/version.js';

const FAILED = 1;
/** Exit code for a wrong command line. */
const MISUSED = 2;
/** EX_CONFIG of sysexits.h. systemd does not try again (RestartPreventExitStatus), since a restart mends no file. */
const MISCONFIGURED = 78;

const TOKEN_HELP = 'bearer token (default: FAIRLEAD_TOKEN; for this machine’s server the token in its data folder)';

let failedCode = FAILED;

const program = new Command('fairlead')
  .description('Self-hosted orchestrator for AI agents with MCP tools.')
  .version(VERSION, '-V, --version', 'print the version')
  .helpOption('-h, --help', 'print this help')
  .helpCommand('help [command]', 'print the help of a command')
  .showSuggestionAfterError()
  .exitOverride()
  .addHelpText(
    'after',
    `
Examples:
  $ fairlead doctor                       check what this machine has and lacks
  $ fairlead serve                        start the server with fairlead.json and the environment
  $ fairlead chat                         talk to it, in a second terminal
  $ fairlead chat --help                  more about one command

Exit codes: 0 done, 1 failed, 2 wrong command line, 78 wrong configuration of serve. Settings: docs/configuration.md.`,
  );

program
  .command('serve')
  .description('start the server')
  .option('--check-config', 'read the configuration, report every problem, and exit')
  .addHelpText(
    'after',
    `
The configuration is fairlead.json in this folder, or the file that FAIRLEAD_CONFIG names; HOST, PORT, REDIS_URL, DOCKER_HOST and
ANTHROPIC_API_KEY override it. Without any of them the server uses an embedded store and a scripted demo model.
SIGTERM stops it: running turns may finish, and clients are told to come back. SIGHUP has it read the file again: see reload.

Examples:
  $ fairlead serve
  $ fairlead serve --check-config
  $ PORT=8080 REDIS_URL=redis://127.0.0.1:6379 fairlead serve`,
  )
  .action(async ({ checkConfig = false }: { checkConfig?: boolean }) => {
    const [{ serve }, { ConfigError }, { logStartError }] = await Promise.all([
      import('./main.js'),
      import('./shared/config.js'),
      import('./boot/start-words.js'),
    ]);
    try {
      await serve({ checkConfig });
    } catch (error) {
      if (error instanceof ConfigError) failedCode = MISCONFIGURED;
      if (!logStartError(error)) throw error;
      process.exitCode = failedCode;
    }
  });

interface ChatFlags {
  token?: string;
  session?: string;
  model?: string;
  yes?: boolean;
  insecure?: boolean;
}

program
  .command('chat')
  .description('talk to a server; with piped input each line is one message')
  .argument('[url]', URL_HELP)
  .option('--token <token>', TOKEN_HELP)
  .option('--insecure', 'send the token over plain http beyond this machine')
  .option('--session <id>', 'resume this session instead of starting a new one')
  .option('--model <name>', 'use this model in a new session; model.allow must list it')
  .option('--yes', 'with piped input: allow every tool call')
  .addHelpText(
    'after',
    `
At a terminal the chat asks before a tool runs, and reconnects by itself; /help lists its commands. With piped input the answers go to
stdout, everything else to stderr; without --yes each tool call is denied.

Examples:
  $ fairlead chat
  $ fairlead chat https://ai.example.org --token flt_…
  $ fairlead chat --session MJ3EFvyPSDjyiygLQq-gYdqn
  $ echo "List all files in /workspace" | fairlead chat --yes`,
  )
  .action(async (given: string | undefined, { token, session, model, yes = false, insecure = false }: ChatFlags) => {
    const [{ chat }, { tokenFor }, { urlOr }] = await Promise.all([
      import('./cli/chat/chat.js'),
      import('./cli/local-token.js'),
      import('./cli/local-url.js'),
    ]);
    const url = urlOr(given);
    process.exitCode = await chat({
      url,
      ...tokenFor({ given: token, url }),
      session,
      model,
      yes,
      insecure,
    });
  });

const mcp = program
  .command('mcp')
  .description('show a running server’s MCP servers, test them, log in to them')
  .addHelpText(
    'after',
    `
Examples:
  $ fairlead mcp list                     each server with its state and its number of tools
  $ fairlead mcp info docs                one server with its tools and its last error
  $ fairlead mcp test                     ask every server now; exits with 1 if one does not answer
  $ fairlead mcp call docs search '{"text": "lease"}'   call a tool, asking for your yes where the rules ask
  $ fairlead mcp login docs               prints an address to open in the browser, and waits`,
  );

interface McpFlags {
  url?: string;
  token?: string;
  json?: boolean;
  insecure?: boolean;
  /** Of `pin`. */
  print?: boolean;
  remove?: boolean;
  look?: boolean;
  /** Of `call`. */
  yes?: boolean;
}

/** Adds a command with the flags that all of them share; `run` resolves to the exit code. */
function mcpCommand(
  name: string,
  description: string,
  argument: string,
  run: (commands: McpCommands, server: string | undefined, flags: McpFlags, more: string[]) => Promise<number>,
): Command {
  const command = mcp.command(name).description(description);
  if (argument !== '') command.argument(argument, 'the MCP server’s name in mcpServers');
  return command
    .option('--url <url>', URL_HELP)
    .option('--token <token>', TOKEN_HELP)
    .option('--insecure', 'send the token over plain http beyond this machine')
    .option('--json', 'print JSON')
    .action(async (...given: unknown[]) => {
      const flags = command.opts<McpFlags>();
      const { token, json = false, insecure = false } = flags;
      const [{ McpCommands }, { tokenFor }, { urlOr }] = await Promise.all([
        import('./cli/mcp/mcp.js'),
        import('./cli/local-token.js'),
        import('./cli/local-url.js'),
      ]);
      const url = urlOr(flags.url);
      const commands = new McpCommands({
        url,
        token: tokenFor({ given: token, url }).token,
        json,
        insecure,
        colors: colorsFor(process.stdout),
        write: (text) => void process.stdout.write(text),
      });
      process.exitCode = await run(
        commands,
        typeof given[0] === 'string' ? given[0] : undefined,
        flags,
        command.args.slice(1),
      );
    });
}

mcpCommand('list', 'list the MCP servers with their states', '', (commands) => commands.list());
mcpCommand('info', 'show one MCP server and its tools', '<server>', (commands, server = '') => commands.info(server));
mcpCommand('test', 'ask one or all MCP servers now; starts no sandbox', '[server]', (commands, server) =>
  commands.test(server),
);
mcpCommand(
  'pin',
  'pin the tool definitions of an MCP server as they are now; needs the role admin',
  '<server>',
  (commands, server = '', { print = false, remove = false, look = false }) =>
    commands.pin(server, { print, remove, look }),
)
  .option('--print', 'print the pins for mcp.pins.servers of the configuration, and store nothing')
  .option('--look', 'say what differs from the pins; exits with 1 when something does')
  .option('--remove', 'remove the pins');
mcpCommand(
  'call',
  'call a tool of an MCP server once, under the rules of a turn',
  '<server>',
  (commands, server = '', { yes = false }, [tool = '', json = '{}']) => commands.call(server, tool, json, yes),
)
  .argument('<tool>', 'the tool’s own name, as mcp info shows it')
  .argument('[arguments]', 'a JSON object', '{}')
  .option('--yes', 'say yes to the call; questions of the server itself are refused without a terminal');
mcpCommand('login', 'log in to an MCP server in the browser', '<server>', (commands, server = '') =>
  commands.login(server),
);
mcpCommand('logout', 'forget and revoke the login to an MCP server', '<server>', (commands, server = '') =>
  commands.logout(server),
);

interface DoctorFlags {
  unit: string;
  shell?: boolean;
  config?: string;
  envFile?: string;
  json?: boolean;
}

program
  .command('doctor')
  .description('check what a server needs on this machine, and say what to do')
  .option('--unit <name>', 'the systemd unit whose environment, account and limits are judged', 'fairlead.service')
  .option('--shell', 'judge this shell, also where the unit is installed')
  .option('--config <file>', 'judge this configuration file, with this shell’s environment')
  .option('--env-file <file>', 'judge the environment in this file')
  .option('--json', 'print JSON')
  .addHelpText(
    'after',
    `
Judges the installed service: the environment, account and limits of its unit (as root, since its environment file holds keys), else this
shell. Checks Node, the addons, open files, the data folder and disk, a write to Redis, Docker, its images and one sandbox, the model, clock,
certificate and port; leaves nothing behind. Exits with 1 when something that is needed is missing: docs/troubleshooting.md.

Examples:
  $ sudo fairlead doctor
  $ fairlead doctor --json
  $ fairlead doctor --config fairlead.json --env-file fairlead.env`,
  )
  .action(async ({ json = false, ...of }: DoctorFlags) => {
    const [{ diagnose, diagnosisText }, { subjectOf }] = await Promise.all([
      import('./cli/doctor/doctor.js'),
      import('./cli/doctor/subject.js'),
    ]);
    const { env, cwd, ...subject } = await subjectOf(of);
    const diagnosis = await diagnose(env, cwd, subject);
    const text = json ? `${JSON.stringify(diagnosis, null, 2)}\n` : diagnosisText(diagnosis, colorsFor(process.stdout));
    process.stdout.write(text);
    process.exitCode = diagnosis.ok ? 0 : FAILED;
  });

const token = program
  .command('token')
  .description('make a bearer token for the configuration file; create, list and revoke work on a running server')
  .argument('<name>', 'the user: 1–128 of letters, digits, _ . @ + | -')
  .option('--quiet', 'print only the token and the line for the configuration')
  .addHelpText(
    'after',
    `
With a name alone it prints a token once, and the line for auth.tokens, which holds only its SHA-256; it stores nothing.
“create” makes one on a running server, without a change of its configuration.

Examples:
  $ fairlead token ada
  $ fairlead token ada --quiet
  $ fairlead token create ada --expires 90d
  $ fairlead token list
  $ fairlead token revoke tok_…`,
  )
  .action(async (name: string, { quiet = false }: { quiet?: boolean }) => {
    const { makeToken, tokenText } = await import('./cli/token.js');
    process.stdout.write(tokenText(makeToken(name), quiet));
  });

addBackupCommands(program);
addReloadCommand(program, TOKEN_HELP);
addPolicyCommand(program);
addServiceCommands(program);
addUsageCommand(program);
addStatusCommand(program, TOKEN_HELP);
addAuditCommand(program);
addAdminCommand(program, TOKEN_HELP);
addCredentialCommands(program, token, TOKEN_HELP);
addExportCommand(program, TOKEN_HELP);

program
  .command('image')
  .description('build the sandbox image fairlead/workspace')
  .option('--full', 'with Python, git, pandoc, a compiler and more, which sandboxes have no network to get')
  .option('--local', 'build it from this machine’s node and busybox, or Debian’s packages, without a registry')
  .option('--mirror <url>', 'a mirror of Debian, for --local --full')
  .option('--tag <tag>', 'name of the image')
  .addHelpText(
    'after',
    `
Needs a Docker daemon: the default socket, or DOCKER_HOST.

Examples:
  $ fairlead image
  $ fairlead image --full           # fairlead/workspace:full, and fairlead/workspace
  $ fairlead image --local --tag acme/workspace:1`,
  )
  .action(async (flags: { full?: boolean; local?: boolean; mirror?: string; tag?: string }) => {
    const { imageCommand } = await import('./cli/image/image.js');
    await imageCommand(flags, (line) => void process.stdout.write(`${line}\n`));
  });

program
  .command('schema')
  .description('print the configuration file’s JSON Schema, for editors')
  .addHelpText(
    'after',
    `
Examples:
  $ fairlead schema > fairlead.schema.json`,
  )
  .action(async () => {
    const { configJsonSchema } = await import('./shared/config.js');
    process.stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
  });

addPageCommands(program);

try {
  await program.parseAsync();
} catch (error) {
  // Commander has printed its message; --help and --version come here too, with exit code 0.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : MISUSED;
  else {
    process.stderr.write(`${describeError(error, colorsFor(process.stderr))}\n`);
    process.exitCode = failedCode;
  }
}
