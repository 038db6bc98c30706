/** The command line of `fairlead backup` and `fairlead restore`. Command line's process. */
import type { Command } from 'commander';

interface SubjectFlags {
  unit: string;
  shell?: boolean;
  config?: string;
  envFile?: string;
}

interface BackupFlags extends SubjectFlags {
  withSecrets?: boolean;
  force?: boolean;
}

interface RestoreFlags extends SubjectFlags {
  force?: boolean;
  store: boolean;
}

function write(text: string): void {
  process.stdout.write(text);
}

function ofServer(command: Command): Command {
  return command
    .option('--unit <name>', 'the systemd unit whose configuration and data folder it is', 'fairlead.service')
    .option('--shell', 'those of this shell, also where the unit is installed')
    .option('--config <file>', 'those of this configuration file, with this shell’s environment')
    .option('--env-file <file>', 'those of the environment in this file');
}

/** Ctrl-C, or systemd's stop: what is not whole yet is removed. */
function onSignals(cancel: (signal: string) => void): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => cancel(signal));
}

async function stopped(): Promise<AbortSignal> {
  const { FairleadError } = await import('../../shared/errors.js');
  const controller = new AbortController();
  onSignals((signal) => controller.abort(new FairleadError('ERR_CANCELLED', `${signal}: nothing of it was kept`)));
  return controller.signal;
}

export function addBackupCommands(program: Command): void {
  const backup = ofServer(
    program
      .command('backup')
      .description(
        'save store, workspaces, leases, audit log and configuration in one file, also while the server runs',
      )
      .argument('<file>', 'the new file; in a folder it is named after the time'),
  )
    .option('--with-secrets', 'also the environment file, the owner’s token and the key of cookies')
    .option('--force', 'replace a file that has the name')
    .addHelpText(
      'after',
      `
Saves the installed service (as root, since its environment file holds keys), else what this shell’s environment names. The file, mode 0600,
has its name only when it is whole. What it holds, and what may be newer than what: docs/backup.md.

Examples:
  $ sudo fairlead backup /var/backups/fairlead
  $ sudo fairlead backup --with-secrets before-upgrade.tar.gz
  $ fairlead backup verify before-upgrade.tar.gz`,
    )
    .action(async (file: string, flags: BackupFlags) => {
      const [{ backup: make, backupText }, { Progress }] = await Promise.all([
        import('./backup.js'),
        import('./progress.js'),
      ]);
      const { withSecrets = false, force = false, ...subject } = flags;
      const signal = await stopped();
      const progress = new Progress(process.stderr);
      const done = await make({ ...subject, file, withSecrets, force, progress, signal });
      write(backupText(done, { withSecrets }));
    });

  backup
    .command('verify')
    .description('read a backup to its end, and name the first entry that is not as it was written')
    .argument('<file>', 'a file of `fairlead backup`')
    .action(async (file: string) => {
      const [{ verify, verifiedText }, { Progress }] = await Promise.all([
        import('./backup.js'),
        import('./progress.js'),
      ]);
      write(verifiedText(file, await verify({ file, progress: new Progress(process.stderr) })));
    });

  ofServer(
    program
      .command('restore')
      .description('put a backup back, while no server runs')
      .argument('<file>', 'a file of `fairlead backup`'),
  )
    .option('--force', 'where there are data: move them aside')
    .option('--no-store', 'leave the store as it is')
    .addHelpText(
      'after',
      `
All of the backup or nothing: it is verified first, and so is the room on the disk. Data that are there are moved to before-restore-TIME in the
data folder, keys of Redis into a file there. Configuration is left alone; tar takes it out of the file: docs/backup.md.

Examples:
  $ sudo systemctl stop fairlead
  $ sudo fairlead restore /var/backups/fairlead/fairlead-2026-11-30T03-00-00Z.tar.gz
  $ sudo systemctl start fairlead`,
    )
    .action(async (file: string, { force = false, store, ...subject }: RestoreFlags) => {
      const [{ restore, restoreText }, { Progress }] = await Promise.all([
        import('./restore.js'),
        import('./progress.js'),
      ]);
      const signal = await stopped();
      const progress = new Progress(process.stderr);
      write(restoreText(await restore({ ...subject, file, force, store, progress, signal })));
    });
}
