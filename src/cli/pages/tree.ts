/** The commands of the command line as data, for pages that are made of them. Pure. Command line's process. */
import type { Argument, Command, Option } from 'commander';

export interface ShownOption {
  short: string | undefined;
  long: string;
  /** `<token>`; undefined: it takes no value. */
  value: string | undefined;
  choices: readonly string[];
  description: string;
}

export interface ShownArgument {
  /** `<server>`, or `[url]` where it may be left out. */
  term: string;
  choices: readonly string[];
  description: string;
}

export interface ShownCommand {
  /** Without the program: empty for the program itself. */
  path: readonly string[];
  description: string;
  arguments: readonly ShownArgument[];
  options: readonly ShownOption[];
  commands: readonly ShownCommand[];
  /** What its help says after the options: examples, mostly. */
  more: string;
}

export function shown(command: Command, path: readonly string[] = []): ShownCommand {
  const help = command.createHelp();
  return {
    path,
    description: command.description(),
    arguments: command.registeredArguments.map(shownArgument),
    options: help.visibleOptions(command).flatMap(shownOption),
    commands: help
      .visibleCommands(command)
      .filter((each) => each.name() !== 'help')
      .map((each) => shown(each, [...path, each.name()])),
    more: moreOf(command),
  };
}

/** The command and all below it, in the order of their help. */
export function flat(command: ShownCommand): ShownCommand[] {
  return [command, ...command.commands.flatMap(flat)];
}

function shownArgument(argument: Argument): ShownArgument {
  const name = argument.name() + (argument.variadic ? '...' : '');
  const term = argument.required ? `<${name}>` : `[${name}]`;
  return { term, choices: argument.argChoices ?? [], description: argument.description };
}

function shownOption({ short, long, flags, argChoices, description }: Option): ShownOption[] {
  if (!long) return [];
  const value = /[<[].*[>\]]$/.exec(flags)?.[0];
  return [{ short, long, value, choices: argChoices ?? [], description }];
}

/** What stands after the options in its help, which only `outputHelp` puts together. */
function moreOf(command: Command): string {
  const out: string[] = [];
  const before = command.configureOutput();
  const kept = { ...before };
  command.configureOutput({ writeOut: (text) => void out.push(text), getOutHasColors: () => false });
  command.outputHelp();
  command.configureOutput(kept);
  const help = command.helpInformation();
  const whole = out.join('');
  return whole.slice(whole.indexOf(help) + help.length).trim();
}
