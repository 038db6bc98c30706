/** Runs sandboxes as child processes without any isolation, for trying out without Docker. Docker thread. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { onAbort } from '../../../src/shared/abort.js';
import type { Config } from '../../../src/shared/config.js';
import { isWorkspaceImage } from '../../../src/shared/docker-client.js';
import { FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import type {
  Environment,
  RunningSandbox,
  SandboxDriver,
  SandboxExit,
  SandboxProgram,
  StartRequest,
} from './driver.js';
import { mustExist, namespacePrefix } from './user-namespace.js';
import { killGroup, killRecorded, writeRecord } from '../../../src/shared/process-record.js';

const ENTRY = fileURLToPath(new URL('../../workspace/index.js', import.meta.url));

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/**
 * Each sandbox has a folder under DATA/sandboxes/INSTANCE: its home `workspace`, and beside it the records of its pids,
 * by which a later run ends what this one left.
 */
export class ProcessDriver implements SandboxDriver {
  /** One, since this driver is for trying out: a machine without Docker should not fill with processes. */
  readonly maxWarm = 1;
  readonly #root: string;
  readonly #entry: string;
  readonly #log: Logger;
  #prefix: Promise<readonly string[]> | undefined;

  constructor(config: Config, instance: string, log: Logger, entry = ENTRY) {
    this.#root = join(config.dataDir, 'sandboxes', instance.replaceAll(/[^a-zA-Z0-9_-]/g, '_'));
    this.#entry = entry;
    this.#log = log;
  }

  async resolveImage(image: string, server: string): Promise<string> {
    if (!isWorkspaceImage(image)) {
      throw new FairleadError(
        'ERR_SANDBOX',
        `the server ${server} needs Docker: without it only fairlead/workspace runs, not ${image}`,
      );
    }
    return image;
  }

  async start(request: StartRequest): Promise<RunningSandbox> {
    const { name, server, env, signal } = request;
    const folder = join(this.#root, name);
    let child: Child | undefined;
    try {
      signal.throwIfAborted();
      const workspace = join(folder, 'workspace');
      await mkdir(this.#root, { recursive: true, mode: 0o700 });
      await mkdir(folder, { mode: 0o700 });
      await mkdir(workspace, { mode: 0o700 });
      const prefix = await (this.#prefix ??= this.#findPrefix());
      signal.throwIfAborted();
      child = spawnIn(workspace, [...prefix, process.execPath, this.#entry], env);
      const sandbox = new ProcessSandbox(child, { folder, env, prefix });
      await once(child, 'spawn', { signal });
      await writeRecord(folder, child.pid ?? 0, true);
      signal.throwIfAborted();
      return sandbox;
    } catch (error) {
      if (child?.pid) killGroup(child.pid);
      await removeFolder(folder);
      signal.throwIfAborted();
      throw new FairleadError('ERR_SANDBOX', `the sandbox of ${server} did not start: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  async removeUnknown(isKnown: (name: string) => boolean, onRemoved?: (name: string) => void): Promise<number> {
    const names = await readdir(this.#root).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    let removed = 0;
    for (const name of names.filter((found) => !isKnown(found))) {
      const folder = join(this.#root, name);
      try {
        await killRecorded(folder);
        await removeFolder(folder);
        onRemoved?.(name);
        removed++;
      } catch (error) {
        this.#log.warn({ err: error, sandbox: name }, 'an unknown sandbox could not be removed now');
      }
    }
    return removed;
  }

  async #findPrefix(): Promise<readonly string[]> {
    const prefix = await namespacePrefix();
    if (prefix.length === 0) {
      this.#log.warn('no user namespaces here: what tools run can read /proc of all processes of this account');
    }
    return prefix;
  }

  watch(): void {
    // A child's own `exit` always reports its end.
  }

  async close(): Promise<void> {
    // Nothing runs in the background: a failed start cleans up before it rejects.
  }
}

class ProcessSandbox implements RunningSandbox {
  readonly id: string;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly exited: Promise<SandboxExit>;
  readonly #pid: number;
  readonly #folder: string;
  readonly #env: Environment;
  /** Before each of its programs. */
  readonly #prefix: readonly string[];
  /** Process groups of programs that run beside its server. */
  readonly #groups = new Set<number>();
  #removal: Promise<void> | undefined;

  constructor(child: Child, { folder, env, prefix }: { folder: string; env: Environment; prefix: readonly string[] }) {
    this.#env = env;
    this.#prefix = prefix;
    this.#pid = child.pid ?? 0;
    this.id = `process:${this.#pid}`;
    this.stdin = child.stdin;
    this.stdout = child.stdout;
    this.stderr = child.stderr;
    this.#folder = folder;
    this.exited = new Promise((resolve) => {
      child.once('error', (error) => resolve({ code: null, reason: error.message }));
      child.once('exit', (code, signal) => {
        // Kills its children, which may hold its stdout open. At once, since the group's number may be reused later.
        killGroup(this.#pid);
        resolve({ code, reason: signal ? `ended by ${signal}` : `exited with code ${code}` });
      });
    });
  }

  /** In a process group of its own; its children end with it or with the sandbox. */
  async exec(command: readonly string[], signal: AbortSignal, env: Environment = {}): Promise<SandboxProgram> {
    const [file = ''] = command;
    const workspace = join(this.#folder, 'workspace');
    const variables = { ...this.#env, ...env };
    signal.throwIfAborted();
    try {
      if (this.#prefix.length > 0) await mustExist(file, environmentIn(workspace, variables)['PATH'] ?? '');
    } catch (error) {
      throw notRunning(file, error);
    }
    signal.throwIfAborted();
    const child = spawnIn(workspace, [...this.#prefix, ...command], variables);
    const exited = new Promise<number | null>((resolve) => {
      child.once('error', () => resolve(null));
      child.once('close', resolve);
    });
    child.stdin.on('error', () => undefined); // its exit code reports it
    try {
      await once(child, 'spawn');
    } catch (error) {
      throw notRunning(file, error);
    }
    const pid = child.pid ?? 0;
    const kill = (): void => {
      killGroup(pid);
      for (const stream of child.stdio) stream?.destroy();
    };
    child.once('exit', () => {
      killGroup(pid); // at once, since the group's number may be reused later
      this.#groups.delete(pid);
      stop();
    });
    this.#groups.add(pid);
    const stop = onAbort(signal, kill);
    const pipes = [child.stdout, child.stderr];
    // Node discards what nobody reads of a child that exits: this keeps it until the caller has the pipes.
    for (const pipe of pipes) pipe.on('readable', ignore);
    await writeRecord(this.#folder, pid, false);
    for (const pipe of pipes) pipe.off('readable', ignore);
    signal.throwIfAborted();
    return { stdin: child.stdin, stdout: child.stdout, stderr: child.stderr, exited };
  }

  destroy(): Promise<void> {
    this.#removal ??= this.#remove();
    return this.#removal;
  }

  async #remove(): Promise<void> {
    let exited = false;
    void this.exited.then(() => (exited = true));
    await Promise.resolve(); // lets an exit that was already reported set the flag
    if (!exited) killGroup(this.#pid);
    for (const group of this.#groups) killGroup(group);
    await this.exited;
    this.stdin.destroy();
    this.stdout.destroy();
    this.stderr.destroy();
    await removeFolder(this.#folder);
  }
}

function notRunning(file: string, cause: unknown): FairleadError {
  return new FairleadError('ERR_SANDBOX', `${file} does not run: ${(cause as Error).message}`, { cause });
}

/** In a process group of its own, so that its children end with it. */
function spawnIn(workspace: string, command: readonly string[], env: Environment): Child {
  const [file = '', ...args] = command;
  return spawn(file, args, {
    cwd: workspace,
    env: environmentIn(workspace, env),
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

function environmentIn(workspace: string, env: Environment): Record<string, string> {
  const PATH = process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin';
  const LANG = process.env['LANG'] ?? 'C.UTF-8';
  return { PATH, LANG, ...env, HOME: workspace, FAIRLEAD_WORKSPACE: workspace };
}

async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
}

function ignore(): void {}
