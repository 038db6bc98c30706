/** Runs git and other programs, each in its own process group, so that a Ctrl-C on the terminal does not end it. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

export class ProgramError extends Error {
  readonly exitCode: number | null;

  constructor(message: string, exitCode: number | null) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Resolves with the output; rejects with ProgramError, or with the signal's reason when the program has ended. */
export async function run(
  program: string,
  args: readonly string[],
  { cwd, signal }: { cwd: string; signal?: AbortSignal },
): Promise<string> {
  signal?.throwIfAborted();
  const child = spawn(program, args, { cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const end = (): void => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) process.kill(-child.pid);
  };
  signal?.addEventListener('abort', end, { once: true });
  try {
    const ended = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
    const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    signal?.throwIfAborted();
    if (code === 0) return out;
    throw new ProgramError(`${program} ${args.join(' ')}: ${(err.trim() || out.trim()).slice(0, 2_000)}`, code);
  } finally {
    signal?.removeEventListener('abort', end);
  }
}

export function git(root: string, ...args: string[]): Promise<string> {
  return run('git', args, { cwd: root });
}

/** Resolves with the full hash; undefined where there is no such commit. */
export async function commitOf(root: string, name: string): Promise<string | undefined> {
  try {
    return (await git(root, 'rev-parse', '--verify', '--quiet', '--end-of-options', `${name}^{commit}`)).trim();
  } catch (error) {
    if (error instanceof ProgramError) return undefined;
    throw error;
  }
}

/** The benches of a commit, from its files. */
export async function benchesOf(root: string, hash: string): Promise<string[]> {
  const files = (await git(root, 'ls-tree', '-r', '--name-only', hash, 'bench/')).split('\n');
  if (!files.includes('bench/suite/child-main.ts'))
    throw new Error(`${hash.slice(0, 7)} is from before there was a suite of benches`);
  return files.flatMap((file) => /^bench\/([^/]+)\/bench\.ts$/.exec(file)?.[1] ?? []);
}

/** Whether any file of the paths differs. */
export async function differ(root: string, a: string, b: string, ...paths: string[]): Promise<boolean> {
  return (await git(root, 'diff', '--name-only', a, b, '--', ...paths)).trim() !== '';
}
