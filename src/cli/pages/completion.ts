/** Makes the scripts by which shells complete the commands, so that no Node starts at a press of Tab. Pure. Command line's process. */
import type { Shell } from './shells.js';
import { flat, type ShownCommand } from './tree.js';

export function completionScript(shell: Shell, program: ShownCommand): string {
  switch (shell) {
    case 'bash':
      return bash(program);
    case 'zsh':
      return zsh(program);
    case 'fish':
      return fish(program);
  }
}

/** What may follow each command: its own commands, its options, and the words that its argument may be. */
interface Follow {
  path: string;
  commands: { word: string; about: string }[];
  options: { word: string; about: string; takesValue: boolean; choices: readonly string[] }[];
}

function follows(program: ShownCommand): Follow[] {
  return flat(program).map(({ path, commands, options, arguments: own }) => ({
    path: path.join(' '),
    commands: [
      ...commands.map((each) => ({ word: each.path.at(-1)!, about: each.description })),
      ...own.flatMap(({ choices, description }) => choices.map((word) => ({ word, about: description }))),
    ],
    options: options.flatMap(({ short, long, value, choices, description }) =>
      [long, short]
        .filter((name) => name !== undefined)
        .map((word) => ({ word, about: description, takesValue: value !== undefined, choices })),
    ),
  }));
}

/** The words that are commands, by the command before them: the way that the shell goes through the line. */
function cases(all: readonly Follow[], paths: ReadonlySet<string>): string {
  return all
    .flatMap(({ path, commands }) => commands.map(({ word }) => `${path} ${word}`.trim()).filter((it) => paths.has(it)))
    .map((it) => `'${it}'`)
    .join('|');
}

function words(follow: Follow): string {
  return [...follow.commands, ...follow.options.filter(({ word }) => word.startsWith('--'))]
    .map(({ word }) => word)
    .join(' ');
}

function valued(all: readonly Follow[]): string {
  const found = all.flatMap(({ options }) => options.filter(({ takesValue }) => takesValue).map(({ word }) => word));
  return [...new Set(found)].join('|');
}

function bash(program: ShownCommand): string {
  const all = follows(program);
  const paths = new Set(all.map(({ path }) => path));
  return `# bash completion of fairlead. Take it with: source <(fairlead completion bash)
_fairlead() {
  local current=\${COMP_WORDS[COMP_CWORD]} at='' word skip='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ -n $skip ]]; then skip=''; continue; fi
    case $word in
      ${valued(all)}) skip=1 ;;
      -*) ;;
      *) case "\${at:+$at }$word" in ${cases(all, paths)}) at="\${at:+$at }$word" ;; esac ;;
    esac
  done
  COMPREPLY=()
  if [[ -n $skip ]]; then
    case "$at \${COMP_WORDS[COMP_CWORD - 1]}" in
${choicesOf(all)
  .map(
    ({ path, option, choices }) =>
      `      '${path} ${option}') COMPREPLY=($(compgen -W '${choices.join(' ')}' -- "$current")) ;;`,
  )
  .join('\n')}
      *) compopt -o default ;;
    esac
    return
  fi
  case $at in
${all.map((follow) => `    '${follow.path}') COMPREPLY=($(compgen -W '${words(follow)}' -- "$current")) ;;`).join('\n')}
  esac
}
complete -F _fairlead fairlead
`;
}

function choicesOf(all: readonly Follow[]): { path: string; option: string; choices: readonly string[] }[] {
  return all.flatMap(({ path, options }) =>
    options.filter(({ choices }) => choices.length > 0).map(({ word, choices }) => ({ path, option: word, choices })),
  );
}

/** As `_describe` takes it. */
function described({ word, about }: { word: string; about: string }): string {
  return quote(`${word}:${about.replaceAll(':', '\\:')}`);
}

function zsh(program: ShownCommand): string {
  const all = follows(program);
  const paths = new Set(all.map(({ path }) => path));
  return `#compdef fairlead
# zsh completion of fairlead. Put it into a folder of $fpath as _fairlead, or: source <(fairlead completion zsh)
_fairlead() {
  local at='' word skip='' i
  local -a follow
  for ((i = 2; i < CURRENT; i++)); do
    word=$words[i]
    if [[ -n $skip ]]; then skip=''; continue; fi
    case $word in
      ${valued(all)}) skip=1 ;;
      -*) ;;
      *) case "\${at:+$at }$word" in ${cases(all, paths)}) at="\${at:+$at }$word" ;; esac ;;
    esac
  done
  if [[ -n $skip ]]; then
    case "$at $words[CURRENT-1]" in
${choicesOf(all)
  .map(({ path, option, choices }) => `      '${path} ${option}') compadd -- ${choices.join(' ')} ;;`)
  .join('\n')}
      *) _files ;;
    esac
    return
  fi
  case $at in
${all
  .map((follow) => {
    const each = [...follow.commands, ...follow.options.filter(({ word }) => word.startsWith('--'))];
    return `    '${follow.path}') follow=(${each.map(described).join(' ')}) ;;`;
  })
  .join('\n')}
  esac
  _describe 'fairlead' follow
}
if [[ $funcstack[1] == _fairlead ]]; then _fairlead "$@"; else compdef _fairlead fairlead; fi
`;
}

function fish(program: ShownCommand): string {
  const all = follows(program);
  const paths = new Set(all.map(({ path }) => path));
  const each = all.flatMap(({ path, commands, options }) => {
    const when = `-n "__fairlead_at '${path}'"`;
    return [
      ...commands.map(({ word, about }) => `complete -c fairlead ${when} -f -a ${quote(word)} -d ${quote(about)}`),
      ...options
        .filter(({ word }) => word.startsWith('--'))
        .map(({ word, about, takesValue, choices }) => {
          const value = takesValue ? (choices.length > 0 ? ` -x -a ${quote(choices.join(' '))}` : ' -r') : ' -f';
          return `complete -c fairlead ${when} -l ${word.slice(2)}${value} -d ${quote(about)}`;
        }),
    ];
  });
  return `# fish completion of fairlead. Take it with: fairlead completion fish | source
function __fairlead_at
    set -l at ''
    set -l skip ''
    for word in (commandline -opc)[2..-1]
        if test -n "$skip"
            set skip ''
            continue
        end
        switch $word
            case ${valued(all).replaceAll('|', ' ')}
                set skip 1
            case '-*'
            case '*'
                set -l next (string trim -- "$at $word")
                contains -- $next ${cases(all, paths).replaceAll('|', ' ')}; and set at $next
        end
    end
    test "$at" = "$argv[1]"
end
${each.join('\n')}
`;
}

/** For all three shells: a word in single quotes. */
function quote(of: string): string {
  return `'${of.replaceAll("'", '’')}'`;
}
