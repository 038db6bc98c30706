/** The command line of `fairlead service`; loads what a command needs when it runs. Command line's process. */
import { InvalidArgumentError, type Command } from 'commander';

const WAIT_SECONDS = 120;

interface Flags {
  dryRun?: boolean;
  from?: string;
  admin: string;
  redis?: boolean;
  domain?: string;
  image: boolean;
  wait: number;
  json?: boolean;
  release?: string;
  running?: boolean;
  purge?: boolean;
}

const dryRun = (command: Command): Command => command.option('--dry-run', 'print the commands, and run none');
const write = (text: string): void => void process.stdout.write(text);

export function addServiceCommands(program: Command): void {
  const service = program
    .command('service')
    .description('install the server as a systemd service, upgrade it, remove it')
    .addHelpText(
      'after',
      `
Each command can be run again without harm, and --dry-run prints what it would run. Releases stand side by side in
/opt/fairlead/releases; /opt/fairlead/current is a link to the one that runs.

Examples:
  $ sudo fairlead service install --redis --domain ai.example.org
  $ sudo fairlead service upgrade fairlead-1.2.3-linux-x64.tar.gz
  $ fairlead service status
  $ sudo fairlead service uninstall --purge`,
    );
  dryRun(service.command('install'))
    .description('make account, folders, configuration, keys and unit, and start the service; what is there is kept')
    .option('--from <release>', 'a folder or a tarball (default: the release of this command)')
    .option('--admin <name>', 'the first administrator, whose token is shown once', process.env['SUDO_USER'] || 'admin')
    .option('--redis', 'keep conversations in this machine’s Redis, and set what it must promise')
    .option('--domain <name>', 'let this machine’s Caddy serve that name, with a certificate')
    .option('--no-image', 'build no image for the sandboxes')
    .option('--wait <seconds>', 'how long it may take to be ready', seconds, WAIT_SECONDS)
    .action(async ({ dryRun: dry = false, from, admin, redis = false, domain, image, wait }: Flags) => {
      const { install } = await import('./service-commands.js');
      process.exitCode = await install({ dryRun: dry, from, admin, redis, domain, image, waitSeconds: wait, write });
    });

  dryRun(service.command('configure', { hidden: true }))
    .description('what the Debian package runs: make account, folders, key and configuration; what is there is kept')
    .action(async ({ dryRun: dry = false }: Flags) => {
      const { configure } = await import('./service-commands.js');
      process.exitCode = await configure({ dryRun: dry, write });
    });

  service
    .command('forget-keys', { hidden: true })
    .description('what uninstall --purge runs: removes the keys in Redis when all of them are this server’s')
    .action(async () => {
      const { forgetKeys } = await import('./service-commands.js');
      process.exitCode = await forgetKeys();
    });

  dryRun(service.command('status'))
    .description('whether the service runs and is ready; exits with 1 when it is not ready, 3 when it does not run')
    .option('--json', 'print JSON')
    .option('--wait <seconds>', 'until it is ready', seconds, 0)
    .option('--release <version>', 'with --wait: until this version is')
    .option('--running', 'with --wait: running is enough')
    .action(async ({ dryRun: dry = false, json = false, wait, release, running = false }: Flags) => {
      const { status } = await import('./service-commands.js');
      process.exitCode = await status({ dryRun: dry, json, waitSeconds: wait, version: release, running, write });
    });

  dryRun(service.command('upgrade'))
    .description('prepare a release, switch to it, and go back when it is not ready in time')
    .argument('[release]', 'a tarball, a folder, or a version that is there (default: the release of this command)')
    .option('--no-image', 'leave the image of the sandboxes as it is')
    .option('--wait <seconds>', 'how long it may take to be ready', seconds, WAIT_SECONDS)
    .action(async (source: string | undefined, { dryRun: dry = false, image, wait }: Flags) => {
      const { upgrade } = await import('./service-commands.js');
      process.exitCode = await upgrade({ dryRun: dry, source, image, waitSeconds: wait, write });
    });

  dryRun(service.command('uninstall'))
    .description('remove the service, its releases, its containers and image; data and configuration are kept')
    .option('--purge', 'also data, configuration and account')
    .action(async ({ dryRun: dry = false, purge = false }: Flags) => {
      const { uninstall } = await import('./service-commands.js');
      process.exitCode = await uninstall({ dryRun: dry, purge, write });
    });
}

function seconds(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0 && value <= 3_600) return value;
  throw new InvalidArgumentError('whole seconds, at most 3600');
}
