/**
 * The scripts around a command: one puts the shell's state back before it, one saves it afterwards. Runs in the sandbox.
 * They hold for any command, which may end the shell, set options and traps, or define functions with the names of builtins.
 */

/** The file descriptor of the state that is put back. */
export const STATE_FD = 3;
/** Ends a state that was saved whole. Before it: the folder, a NUL, and a script that makes the rest. */
export const STATE_END = '\0end';
/** Finds the background processes of commands; each command gets its own. */
export const MARK_NAME = 'FAIRLEAD_COMMANDS_OF';

/** Variables of bash that it computes, or that belong to one shell. `_*`: `$_`, and what the scripts use. */
const NOT_KEPT =
  'BASH|BASHOPTS|BASHPID|BASH_*|COMP_*|DIRSTACK|EPOCHREALTIME|EPOCHSECONDS|EUID|FUNCNAME|GROUPS|HISTCMD|IFS|LINENO|OPTARG|' +
  `OPTERR|OPTIND|PIPESTATUS|PPID|PWD|RANDOM|SECONDS|SHELLOPTS|SHLVL|SRANDOM|UID|_|__fairlead*|${MARK_NAME}`;

/**
 * In a subshell, so that a trap on EXIT finds the command's own options and variables. The folder by the name that it
 * was reached by. Nobody takes a state whose reader is dead.
 */
function saveBash(file: string): string {
  return (
    `[[ -e ${file} || ! -d /proc/$PPID ]] || (builtin set +efC; __fairlead=$(builtin umask); builtin umask 077; { ` +
    `if [[ $PWD -ef . ]]; then builtin printf '%s\\0' "$PWD"; else builtin printf '%s\\0' "$(builtin pwd -P)"; fi; ` +
    `builtin declare -p IFS; builtin unset IFS; for __fairlead_name in $(builtin compgen -v); do ` +
    `case $__fairlead_name in ${NOT_KEPT}) ;; *) builtin declare -p "$__fairlead_name";; esac; done; ` +
    `builtin printf 'umask %s\\n' "$__fairlead"; builtin declare -f; builtin declare -Fx; builtin alias -p; ` +
    `builtin printf '\\0end'; } >|${file})`
  );
}

/** A POSIX shell lists no functions. Of aliases the ones of one line. */
function saveSh(file: string): string {
  return (
    `[ -e ${file} ] || [ ! -d "/proc/$PPID" ] || (set +efC; __fairlead=$(umask); umask 077; { ` +
    `if [ "$PWD" -ef . ]; then printf '%s\\0' "$PWD"; else printf '%s\\0' "$(pwd -P)"; fi; ` +
    `set; export -p; printf 'umask %s\\n' "$__fairlead"; alias | while IFS= read -r __fairlead; do ` +
    `case $__fairlead in [A-Za-z0-9_.-]*=\\'*\\') printf 'alias %s\\n' "$__fairlead";; esac; done; ` +
    `printf '\\0end'; } >|${file})`
  );
}

/**
 * One line, so that the shell's errors name the command's own lines. The state is saved where the command returns, and on EXIT
 * where it does not: with `exit`, or an error under `set -e`. What traps, `set -x` and `set -v` print of this goes nowhere.
 */
export function bashScript(file: string, hasState: boolean): string {
  const save = saveBash(quoted(file));
  const onExit = `{ builtin set +vxu; ${save}; } >/dev/null 2>&1`;
  const before = hasState ? `. /proc/self/fd/${STATE_FD} >/dev/null 2>&1; builtin exec ${STATE_FD}<&-; ` : '';
  return (
    `${before}builtin shopt -s expand_aliases; builtin trap -- ${quoted(onExit)} EXIT; ` +
    `__fairlead=$1; builtin shift; builtin eval "$__fairlead"; ` +
    `{ __fairlead=$?; builtin trap - DEBUG ERR; builtin set +evxu; ${save}; } >/dev/null 2>&1; builtin exit "$__fairlead"`
  );
}

/** A state that a POSIX shell cannot read would end it, so a subshell reads it first. */
export function shScript(file: string, hasState: boolean): string {
  const save = saveSh(quoted(file));
  const onExit = `{ set +vxu; ${save}; } >/dev/null 2>&1`;
  const state = `/proc/self/fd/${STATE_FD}`;
  const before = hasState
    ? `set -- "$1" "$PPID" "$PWD"; { (. ${state}) && . ${state}; } >/dev/null 2>&1; ` +
      `PPID=$2; PWD=$3; exec ${STATE_FD}<&-; `
    : '';
  return (
    `${before}trap ${quoted(onExit)} EXIT; __fairlead=$1; set --; eval "$__fairlead"; ` +
    `{ __fairlead=$?; set +evxu; ${save}; } >/dev/null 2>&1; exit "$__fairlead"`
  );
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
