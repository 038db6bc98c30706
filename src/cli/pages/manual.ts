/** Makes the manual page `fairlead.1` of the commands (man(7), groff_man_style(7)). Pure. Command line's process. */
import { flat, type ShownCommand, type ShownOption } from './tree.js';

/** `made`: the day on the page. */
export function manualPage(program: ShownCommand, { version, made }: { version: string; made: Date }): string {
  const [, ...commands] = flat(program);
  return [
    '.\\" Made of the commands themselves: fairlead man',
    `.TH FAIRLEAD 1 ${made.toISOString().slice(0, 10)} ${quoted(`Fairlead ${version}`)} ${quoted('User Commands')}`,
    '.SH NAME',
    `fairlead \\- ${text(lowerFirst(program.description)).replace(/\.$/, '')}`,
    '.SH SYNOPSIS',
    ...commands.filter(isRun).flatMap(synopsis).slice(0, -1),
    '.SH OPTIONS',
    ...program.options.flatMap(option),
    '.SH COMMANDS',
    ...commands.flatMap(section),
    '.SH DETAILS',
    ...paragraphs(program.more),
    '.SH SEE ALSO',
    '.BR docker (1),',
    '.BR redis\\-server (1),',
    '.BR systemctl (1)',
    '',
  ].join('\n');
}

/** A command that is only a heading for others is run by nobody. */
function isRun({ commands, arguments: own }: ShownCommand): boolean {
  return commands.length === 0 || own.length > 0;
}

function synopsis({ path, arguments: own, options }: ShownCommand): string[] {
  const rest = [...(options.length > 1 ? ['[options]'] : []), ...own.map(({ term }) => term)].join(' ');
  return [`.B fairlead ${text(path.join(' '))}`, ...(rest === '' ? [] : [text(rest)]), '.br'];
}

function section(command: ShownCommand): string[] {
  const { path, description, arguments: own, options, more } = command;
  const heading = `fairlead ${path.join(' ')} ${own.map(({ term }) => term).join(' ')}`.trim();
  return [
    `.SS ${quoted(heading)}`,
    ...paragraphs(sentence(description)),
    ...own.flatMap(({ term, description: about }) => ['.TP', `.I ${text(term)}`, ...lines(about || 'see above')]),
    ...options.filter(({ long }) => long !== '--help').flatMap(option),
    ...(more === '' ? [] : ['.PP', ...paragraphs(more)]),
  ];
}

function option({ short, long, value, description }: ShownOption): string[] {
  const names = [short, long].filter((name) => name !== undefined).map((name) => `\\fB${text(name)}\\fR`);
  return ['.TP', names.join(', ') + (value === undefined ? '' : ` \\fI${text(value)}\\fR`), ...lines(description)];
}

/** What is indented stands as it is: examples. */
function paragraphs(of: string): string[] {
  return of.split(/\n\s*\n/).flatMap((part, index) => {
    const [plain, example] = split(part.split('\n'));
    const said = plain.length === 0 ? [] : lines(plain.join(' '));
    const shownAs = example.length === 0 ? [] : ['.RS 4', '.nf', ...example.flatMap(lines), '.fi', '.RE'];
    return [...(index === 0 ? [] : ['.PP']), ...said, ...shownAs];
  });
}

function split(all: readonly string[]): [plain: string[], example: string[]] {
  const at = all.findIndex((line) => /^\s{2,}/.test(line));
  const end = at === -1 ? all.length : at;
  return [all.slice(0, end).filter((line) => line !== ''), all.slice(end).map((line) => line.trim())];
}

function lines(of: string): string[] {
  const found = of.trim();
  return found === '' ? [] : [text(found)];
}

function quoted(of: string): string {
  return `"${text(of).replaceAll('"', '\\(dq')}"`;
}

/** Minus signs stay minus signs, so that an example can be pasted; no line begins a request. */
function text(of: string): string {
  const escaped = of
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(/[^\n\u0020-\u007e]/gu, special);
  return escaped.replaceAll(/^([.'])/gm, '\\&$1');
}

/** Characters beyond ASCII by their number, since older readers guess the file's encoding. */
function special(character: string): string {
  return `\\[u${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}]`;
}

function sentence(of: string): string {
  const first = of.charAt(0).toUpperCase() + of.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

function lowerFirst(of: string): string {
  return of.charAt(0).toLowerCase() + of.slice(1);
}
