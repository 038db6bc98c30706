/** Adds the commands that print what is made of all commands: the manual page, and the scripts for shells. Command line's process. */
import { Argument, type Command } from 'commander';
import { VERSION } from '../../shared/version.js';
import { SHELLS, type Shell } from './shells.js';

export function addPageCommands(program: Command): void {
  program
    .command('completion')
    .description('print a script by which a shell completes the commands')
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .addHelpText(
      'after',
      `
Examples:
  $ source <(fairlead completion bash)                                             in ~/.bashrc, or for all accounts:
  $ fairlead completion bash > /usr/share/bash-completion/completions/fairlead
  $ fairlead completion zsh > /usr/local/share/zsh/site-functions/_fairlead
  $ fairlead completion fish > ~/.config/fish/completions/fairlead.fish`,
    )
    .action(async (shell: Shell) => {
      const [{ completionScript }, { shown }] = await Promise.all([import('./completion.js'), import('./tree.js')]);
      process.stdout.write(completionScript(shell, shown(program)));
    });

  program
    .command('man')
    .description('print the manual page fairlead.1')
    .addHelpText(
      'after',
      `
Examples:
  $ fairlead man | man -l -                 read it
  $ fairlead man > /usr/local/share/man/man1/fairlead.1     for all accounts`,
    )
    .action(async () => {
      const [{ manualPage }, { shown }] = await Promise.all([import('./manual.js'), import('./tree.js')]);
      process.stdout.write(manualPage(shown(program), { version: VERSION, made: madeAt(process.env) }));
    });
}

/** What builds packages says when, so that two builds give the same bytes (reproducible-builds.org). */
function madeAt(env: NodeJS.ProcessEnv): Date {
  const seconds = Number(env['SOURCE_DATE_EPOCH'] || Number.NaN);
  return Number.isFinite(seconds) ? new Date(seconds * 1_000) : new Date();
}
