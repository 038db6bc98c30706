/** Steps as data: what is printed for `--dry-run` is what runs, and each step knows how to take itself back. Command line's process. */

export interface Command {
  argv: readonly string[];
  /** Its standard input. */
  input?: string;
}

export interface Step extends Command {
  /** What it does, in words that follow “could not”. */
  title: string;
  /** Stands for the input where it is printed: it holds keys, or is a long file with one new line. */
  shown?: string;
  /** What takes it back when it or a later step fails, in this order. The steps' own are run from the last step to the first. */
  undo?: readonly Command[];
  /** Why its failure ends nothing, in words for the operator. */
  optional?: string;
  timeoutMs?: number;
}

export interface FileToWrite {
  path: string;
  text: string;
  mode: string;
  owner?: string;
  group?: string;
  /** What the file holds now; undefined = it is not there. */
  old: string | undefined;
  title: string;
  shown?: string;
}

/** In one command, since what takes steps back runs on after a failure. Its arguments: the unfinished file, mode, owner, group, and the path. */
const INSTALL_WHOLE = 'install -m "$1" -o "$2" -g "$3" /dev/stdin "$0" && mv -T "$0" "$4" || { rm -f "$0"; exit 1; }';

/** Writes the file whole or not at all, and takes it back so: a full disk leaves one or the other. No steps when it holds that text already. */
export function writeFile(file: FileToWrite): Step[] {
  const { path, text, mode, owner = 'root', group = 'root', old, title, shown } = file;
  if (old === text) return [];
  const unfinished = `${path}.new`;
  return [
    {
      title,
      argv: ['install', '-m', mode, '-o', owner, '-g', group, '/dev/stdin', unfinished],
      input: text,
      ...(shown === undefined ? {} : { shown }),
      undo: [{ argv: ['rm', '-f', unfinished] }],
    },
    {
      title,
      argv: ['mv', '-T', unfinished, path],
      undo: [
        old === undefined
          ? { argv: ['rm', '-f', path] }
          : { argv: ['sh', '-c', INSTALL_WHOLE, unfinished, mode, owner, group, path], input: old },
      ],
    },
  ];
}

/** Puts a symbolic link in place of another at once: no process sees a moment without one. */
export function setLink(path: string, to: string, old: string | undefined, title: string): Step[] {
  if (old === to) return [];
  const unfinished = `${path}.new`;
  return [
    { title, argv: ['ln', '-sfn', to, unfinished], undo: [{ argv: ['rm', '-f', unfinished] }] },
    {
      title,
      argv: ['mv', '-T', unfinished, path],
      undo: [{ argv: old === undefined ? ['rm', '-f', path] : ['ln', '-sfn', old, path] }],
    },
  ];
}

/** The steps as a shell would take them. Keys are not shown. */
export function shellText(steps: readonly Step[]): string {
  return steps
    .map((step, index) => `${step.title === steps[index - 1]?.title ? '' : `# ${step.title}\n`}${commandText(step)}\n`)
    .join('');
}

function commandText({ argv, input, shown }: Step): string {
  const line = argv.map(quote).join(' ');
  if (input === undefined) return line;
  const text = shown ?? input;
  return `${line} <<'END'\n${text}${text.endsWith('\n') ? '' : '\n'}END`;
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
