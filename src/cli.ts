#!/usr/bin/env node
/** The command `fairlead`: reads the command line, loads what the command needs and nothing else, sets the exit code. */
import { Command, CommanderError } from 'commander';
import { DEFAULT_URL } from './cli/defaults.js';
import type { McpCommands } from './cli/mcp/mcp.js';
import { colorsFor, describeError } from './cli/report.js';
import { VERSION } from './shared/version.js';

const FAILED = 1;
/** The command line itself was wrong. */
const MISUSED = 2;

const program = new Command('fairlead')
  .description('Self-hosted orchestrator for AI agents with MCP tools.')
  .version(VERSION, '-V, --version', 'print the version')
  .helpOption('-h, --help', 'print this, or a command’s own help')
  .showSuggestionAfterError()
  .exitOverride()
  .addHelpText(
    'after',
    `
Examples:
  $ fairlead doctor                       is everything there?
  $ fairlead serve                        start the server, settings from fairlead.json and the environment
  $ fairlead chat                         talk to it, in a second terminal
  $ fairlead chat https://ai.example.org --token flt_…
  $ echo "List all files in /workspace" | fairlead chat --yes
  $ fairlead mcp list                     the running server’s MCP servers
  $ fairlead token user-1                 make a token for a user`,
  );

program
  .command('serve')
  .description('start the server')
  .option('--check-config', 'read the configuration, report every problem, and exit')
  .action(async ({ checkConfig = false }: { checkConfig?: boolean }) => {
    const { serve } = await import('./main.js');
    await serve({ checkConfig });
  });

interface ChatFlags {
  token?: string;
  session?: string;
  model?: string;
  yes?: boolean;
}

program
  .command('chat')
  .description('talk to a server; with piped input each line is a message')
  .argument('[url]', 'the server’s address', DEFAULT_URL)
  .option('--token <token>', 'bearer token (default: FAIRLEAD_TOKEN)')
  .option('--session <id>', 'go on with this session')
  .option('--model <name>', 'ask for this model, where the server allows it')
  .option('--yes', 'without a terminal: allow every tool call')
  .action(async (url: string, { token, session, model, yes = false }: ChatFlags) => {
    const { chat } = await import('./cli/chat/chat.js');
    process.exitCode = await chat({
      url,
      token: token ?? (process.env['FAIRLEAD_TOKEN'] || undefined),
      session,
      model,
      yes,
    });
  });

const mcp = program.command('mcp').description('look at a running server’s MCP servers, test them, log in to them');

interface McpFlags {
  url: string;
  token?: string;
  json?: boolean;
}

/** The same flags for each; `run` resolves to the exit code. */
function mcpCommand(
  name: string,
  description: string,
  argument: string,
  run: (commands: McpCommands, server: string | undefined) => Promise<number>,
): void {
  const command = mcp.command(name).description(description);
  if (argument !== '') command.argument(argument, 'its name in mcpServers');
  command
    .option('--url <url>', 'the server’s address', DEFAULT_URL)
    .option('--token <token>', 'bearer token (default: FAIRLEAD_TOKEN)')
    .option('--json', 'as JSON')
    .action(async (...given: unknown[]) => {
      const { url, token, json = false } = command.opts<McpFlags>();
      const { McpCommands } = await import('./cli/mcp/mcp.js');
      const commands = new McpCommands({
        url,
        token: token ?? (process.env['FAIRLEAD_TOKEN'] || undefined),
        json,
        colors: colorsFor(process.stdout),
        write: (text) => void process.stdout.write(text),
      });
      process.exitCode = await run(commands, typeof given[0] === 'string' ? given[0] : undefined);
    });
}

mcpCommand('list', 'all of them, and how they are', '', (commands) => commands.list());
mcpCommand('info', 'one of them, and its tools', '<server>', (commands, server = '') => commands.info(server));
mcpCommand('test', 'ask them now; no sandbox is started for it', '[server]', (commands, server) =>
  commands.test(server),
);
mcpCommand('login', 'log in to one, in the browser', '<server>', (commands, server = '') => commands.login(server));
mcpCommand('logout', 'forget that login', '<server>', (commands, server = '') => commands.logout(server));

program
  .command('doctor')
  .description('check what a server needs, and say what to do')
  .option('--json', 'as JSON')
  .action(async ({ json = false }: { json?: boolean }) => {
    const { diagnose, diagnosisText } = await import('./cli/doctor/doctor.js');
    const diagnosis = await diagnose();
    const text = json ? `${JSON.stringify(diagnosis, null, 2)}\n` : diagnosisText(diagnosis, colorsFor(process.stdout));
    process.stdout.write(text);
    process.exitCode = diagnosis.ok ? 0 : FAILED;
  });

program
  .command('token')
  .description('make a bearer token for a user')
  .argument('<name>', 'the user: 1–64 of letters, digits, _ . @ -')
  .option('--quiet', 'print the token and the configuration’s line only')
  .action(async (name: string, { quiet = false }: { quiet?: boolean }) => {
    const { makeToken, tokenText } = await import('./cli/token.js');
    process.stdout.write(tokenText(makeToken(name), quiet));
  });

program
  .command('image')
  .description('build the sandbox image')
  .option('--local', 'from what this machine has, where no registry is reachable')
  .option('--tag <tag>', 'the image’s name')
  .action(async ({ local = false, tag }: { local?: boolean; tag?: string }) => {
    const [{ buildImage }, { WORKSPACE_IMAGE }] = await Promise.all([
      import('./cli/image/image.js'),
      import('./shared/docker-client.js'),
    ]);
    await buildImage({ local, tag: tag ?? WORKSPACE_IMAGE, log: (line) => void process.stdout.write(`${line}\n`) });
  });

program
  .command('schema')
  .description('print the configuration file’s JSON Schema')
  .action(async () => {
    const { configJsonSchema } = await import('./shared/config.js');
    process.stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
  });

try {
  await program.parseAsync();
} catch (error) {
  // Commander has printed what it has to say; only --help and --version are no mistake.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : MISUSED;
  else {
    process.stderr.write(`${describeError(error, colorsFor(process.stderr))}\n`);
    process.exitCode = FAILED;
  }
}
