/** The command `fairlead policy`. Command line's process. */
import { InvalidArgumentError, type Command } from 'commander';
import { ROLES, type Role } from '../../shared/person.js';
import { colorsFor } from '../report.js';

interface Flags {
  user: string;
  role?: Role;
  group?: string[];
  server: string;
  tool: string;
  args?: Record<string, unknown>;
  readOnly?: boolean;
  json?: boolean;
}

export function addPolicyCommand(program: Command): void {
  const policy = program.command('policy').description('look at the rules for calls to MCP servers');
  policy
    .command('test')
    .description('say what would become of a call, and which rule says so')
    .requiredOption('--user <name>', 'who makes the call')
    .option('--role <role>', `${ROLES.join(', ')} (default: of the user in auth.tokens)`, readRole)
    .option('--group <name>', 'a group of the user, each with its own --group (default: those in auth.tokens)', collect)
    .requiredOption('--server <name>', 'the MCP server')
    .requiredOption('--tool <name>', 'the tool’s own name')
    .option('--args <json>', 'the arguments, a JSON object', readArgs)
    .option('--read-only', 'the tool says that it only reads')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Reads the same configuration as serve, and asks the same rules; needs no server. What a user has allowed for a session, and
whether the arguments fit the tool's own schema, is not known here.

Examples:
  $ fairlead policy test --user ada --group analysts --server warehouse --tool query --args '{"sql":"SELECT 1"}'
  $ fairlead policy test --user ada --server git --tool push --json`,
    )
    .action(async (flags: Flags) => {
      const [{ policyText, testPolicy }, { checkArgs }, { loadConfig }, { PinFile }] = await Promise.all([
        import('./policy-test.js'),
        import('./check-args.js'),
        import('../../shared/config.js'),
        import('../../boot/pin-file.js'),
      ]);
      const { user, role, group, server, tool, args = {}, readOnly = false, json = false } = flags;
      const question = { user, server, tool, args, readOnly, ...(role && { role }), ...(group && { groups: group }) };
      const config = loadConfig();
      const answer = await testPolicy(config, question, checkArgs, new PinFile(config.dataDir).pins);
      process.stdout.write(json ? `${JSON.stringify(answer)}\n` : policyText(answer, colorsFor(process.stdout)));
    });
}

function readRole(text: string): Role {
  const role = ROLES.find((each) => each === text);
  if (role === undefined) throw new InvalidArgumentError(`It is one of ${ROLES.join(', ')}.`);
  return role;
}

function collect(text: string, before: string[] = []): string[] {
  return [...before, text];
}

function readArgs(text: string): Record<string, unknown> {
  const args = parse(text);
  if (typeof args === 'object' && args !== null && !Array.isArray(args)) return args as Record<string, unknown>;
  throw new InvalidArgumentError('It is a JSON object, as in \'{"sql":"SELECT 1"}\'.');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
