/**
 * The shell of run_command as a session sees it: each command is a process of its own, which begins with the folder, variables,
 * functions and aliases that the one before has left. So nothing runs between two commands, and a command that hangs, or ends
 * its shell, costs its own changes. Runs in the sandbox.
 */
import { randomUUID } from 'node:crypto';
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bashScript, shScript, STATE_END } from './shell-script.js';

/** A state that is larger is not kept. The programs of a shell with so much in its environment do not start, either. */
const MAX_STATE_BYTES = 524_288;
/** Where a state is on its way from one shell to the next. The second one where a command has filled or closed the first. */
const folders = (): string[] => [tmpdir(), '/dev/shm'];
const PREFIX = '.fairlead-shell-';
/** States that shells are to write, and that nobody has taken yet. */
const awaited = new Set<string>();
const { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, W_OK, X_OK } = constants;

interface State {
  folder: string;
  /** Makes all but the folder; bytes, since a variable may hold any. */
  script: Buffer;
}

/** What one command is run with. */
export interface ShellRun {
  readonly shell: string;
  readonly script: string;
  /** A readable file of the state, for the command's STATE_FD. Undefined: it takes over the server's environment. */
  readonly stateFd: number | undefined;
  /** Undefined where that of the last command is gone, or there was none. */
  readonly folder: string | undefined;
  /** When the shell has its own copy of the file, or does not start. */
  started(): void;
  /** After the shell's end. Resolves with what the model has to know, each in words. Never rejects. */
  end(): Promise<string[]>;
}

const GOES_ON = 'The next command begins with the folder and variables from before this one.';
const NOT_SAVED =
  '[its shell ended without saving its state: it was killed, replaced (exec), ended by exit under its own trap on EXIT, ' +
  `or could not write to /tmp. ${GOES_ON}]`;
const TOO_LARGE = `[its variables and functions are more than ${MAX_STATE_BYTES} bytes. ${GOES_ON}]`;
const NOT_READ =
  '[neither /tmp nor /dev/shm can be written: it ran without the variables from before, and none are kept]';
const BESIDE =
  '[it ran beside another command, in a copy of the shell: its changes of folder and variables are not kept. ' +
  'Run commands that make such changes one after the other]';

export class Shell {
  readonly #shell: string;
  #state: State | undefined;
  /** The run whose changes are kept: the one that began alone. */
  #keeper: ShellRun | undefined;
  #notes: string[] = [];

  constructor(shell = findShell()) {
    this.#shell = shell;
  }

  /** The next command's result says why nothing is left of earlier ones. */
  isNewBecause(why: string): void {
    this.#notes = [`[a new shell, since ${why}: folder, variables and functions begin anew]`];
  }

  /** A run in that folder, or where the last command ended. Every run must be ended. */
  begin(wanted?: string): ShellRun {
    const before = this.#state;
    const notes = this.#notes.splice(0);
    const folder = wanted ?? (before && isFolder(before.folder) ? before.folder : undefined);
    if (before && folder === undefined) {
      notes.push(`[the folder ${JSON.stringify(before.folder)} is gone or closed: it ran in /workspace]`);
    }
    const stateFd = before && stateFile(before.script);
    const isUnread = before !== undefined && stateFd === undefined;
    if (isUnread) notes.push(NOT_READ);
    const file = join(folders().find(isOpen) ?? tmpdir(), `${PREFIX}${randomUUID()}`);
    awaited.add(file);
    const script = /\bbash$/.test(this.#shell) ? bashScript : shScript;
    const run: ShellRun = {
      shell: this.#shell,
      script: script(file, stateFd !== undefined),
      stateFd,
      folder,
      started: () => {
        if (stateFd !== undefined) closeSync(stateFd);
      },
      end: async () => {
        const state = await takeState(file);
        awaited.delete(file);
        const isKeeper = this.#keeper === run;
        if (isKeeper) this.#keeper = undefined;
        if (isUnread) return notes;
        if (typeof state === 'string') notes.push(state);
        else if (isKeeper) this.#state = state;
        else if (!isSame(before, state)) notes.push(BESIDE);
        return notes;
      },
    };
    this.#keeper ??= run;
    return run;
  }
}

/** At the end of this process, when the shells have ended: on a machine without containers the folder stays. */
export function removeAwaitedStates(): void {
  for (const file of awaited) {
    try {
      rmSync(file, { recursive: true, force: true });
    } catch {
      // a command has closed the folder, and this process ends
    }
  }
}

/** Of commands whose runner has died with them. Before the first run. */
export function removeLeftStates(): void {
  for (const folder of folders()) {
    try {
      for (const name of readdirSync(folder)) {
        if (name.startsWith(PREFIX)) rmSync(join(folder, name), { force: true });
      }
    } catch {
      // a command has closed the folder, or filled it with more than can be removed
    }
  }
}

function findShell(): string {
  return ['/bin/bash', '/usr/bin/bash', '/usr/local/bin/bash'].find((path) => existsSync(path)) ?? '/bin/sh';
}

function isSame(before: State | undefined, after: State): boolean {
  return before !== undefined && before.folder === after.folder && before.script.equals(after.script);
}

function isFolder(path: string): boolean {
  try {
    accessSync(path, X_OK);
    return statSync(path).isDirectory();
  } catch {
    return false; // removed or closed meanwhile
  }
}

function isOpen(folder: string): boolean {
  try {
    accessSync(folder, W_OK | X_OK);
    return true;
  } catch {
    return false; // a command has closed or removed it
  }
}

/** Without a name, so that no command removes or reads it. Undefined where no folder takes it. */
function stateFile(content: Buffer): number | undefined {
  for (const folder of folders()) {
    const path = join(folder, `${PREFIX}${randomUUID()}`);
    let fd: number | undefined;
    try {
      fd = openSync(path, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW, 0o600);
      unlinkSync(path);
      for (let at = 0; at < content.length;) at += writeSync(fd, content, at);
      return fd;
    } catch {
      if (fd !== undefined) closeSync(fd); // full or closed: the next folder
    }
  }
  return undefined;
}

/** Removes the file, which any program in the sandbox may have replaced. A text says why there is no state. */
async function takeState(file: string): Promise<State | string> {
  try {
    const handle = await open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      const stats = await handle.stat();
      if (!stats.isFile()) return NOT_SAVED;
      if (stats.size > MAX_STATE_BYTES) return TOO_LARGE;
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(stats.size), 0, stats.size, 0);
      return readState(buffer.subarray(0, bytesRead));
    } finally {
      await handle.close();
      await rm(file, { recursive: true, force: true });
    }
  } catch {
    return NOT_SAVED; // it is not there, or /tmp is closed
  }
}

function readState(saved: Buffer): State | string {
  const end = saved.length - STATE_END.length;
  const folderEnd = saved.indexOf(0);
  if (folderEnd < 1 || folderEnd >= end || saved.toString('latin1', end) !== STATE_END) return NOT_SAVED;
  const folder = saved.subarray(0, folderEnd);
  // Node starts no program in a folder whose name is no UTF-8: as one that is gone.
  return { folder: folder.toString(), script: Buffer.from(saved.subarray(folderEnd + 1, end)) };
}
