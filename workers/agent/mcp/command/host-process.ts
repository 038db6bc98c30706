/** One MCP server as a process on the host, in a process group and a folder of its own; its end kills the whole group. Agent threads. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { atMost } from '../../../../src/shared/abort.js';
import { FairleadError } from '../../../../src/shared/errors.js';
import { killGroup, writeRecord } from '../../../../src/shared/process-record.js';

/** The only variables of our environment that it gets: others may hold our secrets. */
const PASSED_ON = ['PATH', 'HOME', 'USER', 'LANG', 'TERM', 'SHELL', 'TMPDIR'];
/** The waits after closing its stdin, and after SIGTERM. */
const END_OF_INPUT_MS = 1_000;
const SIGTERM_MS = 2_000;
/** The wait for its last words: what it has left behind may hold its stderr open. */
const LAST_WORDS_MS = 1_000;

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

export interface HostProgram {
  server: string;
  command: string;
  args: readonly string[];
  env: Readonly<Record<string, string>>;
  /** Absent: a folder of its own, which is removed with it. */
  cwd?: string | undefined;
  /** Called from its first moment on: one that dies at once has said why. */
  onStderr: (chunk: Buffer) => void;
}

export interface ProcessExit {
  code: number | null;
  reason: string;
}

export class HostProcess {
  readonly pid: number;
  readonly cwd: string;
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** Resolves when all of its stderr has come. Never rejects. */
  readonly silent: Promise<void>;
  readonly #stderr: Readable;
  readonly #folder: string;
  #stopping: Promise<void> | undefined;

  private constructor(child: Child, silent: Promise<void>, folder: string, cwd: string) {
    this.pid = child.pid ?? 0;
    this.cwd = cwd;
    this.stdin = child.stdin;
    this.stdout = child.stdout;
    this.#stderr = child.stderr;
    this.silent = silent;
    this.#folder = folder;
    this.stdin.on('error', () => undefined); // its exit reports it
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        // Kills what it started, which may hold its stdout open. At once: the group id may be reused later.
        killGroup(this.pid);
        resolve({ code, reason: signal ? `ended by ${signal}` : `exited with code ${code}` });
      });
    });
    void this.exited.then(() => this.stop());
  }

  /** `root`: the parent of its folder. ERR_MCP when it cannot be started. */
  static async start({ server, command, args, env, cwd, onStderr }: HostProgram, root: string): Promise<HostProcess> {
    const folder = join(root, randomBytes(8).toString('hex'));
    const home = join(folder, 'cwd');
    let child: Child | undefined;
    try {
      await mkdir(home, { recursive: true, mode: 0o700 });
      child = spawn(command, [...args], {
        cwd: cwd ?? home,
        env: { ...passedOn(), ...env },
        detached: true, // a process group of its own
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      const silent = readAll(child.stderr, onStderr);
      await once(child, 'spawn');
      const started = new HostProcess(child, silent, folder, cwd ?? home);
      await writeRecord(folder, started.pid, true);
      return started;
    } catch (error) {
      if (child?.pid) killGroup(child.pid);
      await removeFolder(folder);
      const why = (error as Error).message;
      throw new FairleadError('ERR_MCP', `the server ${server} cannot be started: ${why}`, { cause: error });
    }
  }

  /** Closes its stdin, then sends SIGTERM and SIGKILL to its group. Resolves when it and its folder are gone. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.stdin.end();
    if (!(await atMost(END_OF_INPUT_MS, this.exited))) {
      killGroup(this.pid, 'SIGTERM');
      if (!(await atMost(SIGTERM_MS, this.exited))) killGroup(this.pid);
    }
    await this.exited;
    this.stdin.destroy();
    await atMost(LAST_WORDS_MS, this.silent);
    this.#stderr.destroy();
    await removeFolder(this.#folder);
  }
}

/** Before anything is waited for: at the exit, Node empties a stream that nobody reads. */
function readAll(stderr: Readable, onChunk: (chunk: Buffer) => void): Promise<void> {
  stderr.on('data', onChunk);
  stderr.on('error', () => undefined); // it carries no MCP
  return new Promise((resolve) => stderr.once('close', () => resolve()));
}

function passedOn(): Record<string, string> {
  return Object.fromEntries(
    PASSED_ON.flatMap((name): [string, string][] => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
}
