/**
 * Real pipes for a command's output. Node's `pipe` is a socket, which cannot be opened by name, so that
 * `echo oops > /dev/stderr` and `tee /dev/stderr` fail. Node cannot create pipes, but it can open named ones. Runs in the
 * sandbox.
 */
import { execFile, type ChildProcess } from 'node:child_process';
import { closeSync, constants, existsSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

export interface OutputPipes {
  stdout: Readable;
  stderr: Readable;
}

interface Fifo {
  readEnd: Socket;
  writeEnd: number;
}

const MKFIFO_TIMEOUT_MS = 2000;

let folder: string | undefined;
let removesFolder = false;
let made = 0;
/** Created in advance, so that only the first command waits for mkfifo. */
let spare: Promise<[string, string] | undefined> | undefined;

/**
 * Calls `start` with spawn's stdout and stderr, and returns the ends to read from. Without mkfifo or a writable temporary
 * folder they are Node's own pipes.
 */
export async function withOutputPipes(
  start: (stdout: number | 'pipe', stderr: number | 'pipe') => ChildProcess,
): Promise<{ child: ChildProcess; pipes: OutputPipes }> {
  const opened = await takeFifos();
  if (!opened) {
    const child = start('pipe', 'pipe');
    if (child.stdout === null || child.stderr === null) throw new Error('spawn gave no pipes');
    return { child, pipes: { stdout: child.stdout, stderr: child.stderr } };
  }
  const { stdout, stderr } = opened;
  try {
    return {
      child: start(stdout.writeEnd, stderr.writeEnd),
      pipes: { stdout: stdout.readEnd, stderr: stderr.readEnd },
    };
  } catch (error) {
    stdout.readEnd.destroy();
    stderr.readEnd.destroy();
    throw error;
  } finally {
    // The command has its own copies by now. The pipe ends when the last of its processes ends.
    closeSync(stdout.writeEnd);
    closeSync(stderr.writeEnd);
  }
}

async function takeFifos(): Promise<Record<'stdout' | 'stderr', Fifo> | undefined> {
  // Taken and replaced in one step: parallel calls must not share a pair.
  const taken = spare ?? makeFifos();
  spare = makeFifos();
  const paths = await taken;
  const opened = paths && openFifos(paths);
  if (opened) return opened;
  // What was made in advance may be gone: `rm -rf /tmp/*`.
  const isFolderGone = folder !== undefined && !existsSync(folder);
  if (!paths && !isFolderGone) return undefined;
  if (isFolderGone) folder = undefined;
  spare = undefined;
  const again = await makeFifos();
  return again && openFifos(again);
}

/** Undefined where they are gone, or closed to their owner. */
function openFifos([out, err]: readonly [string, string]): Record<'stdout' | 'stderr', Fifo> | undefined {
  let stdout: Fifo | undefined;
  try {
    stdout = openFifo(out);
    return { stdout, stderr: openFifo(err) };
  } catch {
    stdout?.readEnd.destroy();
    if (stdout) closeSync(stdout.writeEnd);
    return undefined;
  }
}

/** Opens the reading end first, without waiting for a writer; then the name is no longer needed. */
function openFifo(path: string): Fifo {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writeEnd = openSync(path, constants.O_WRONLY);
  rmSync(path);
  return { readEnd: new Socket({ fd, readable: true, writable: false }), writeEnd };
}

async function makeFifos(): Promise<[string, string] | undefined> {
  const number = made++;
  return new Promise((resolve) => {
    try {
      folder ??= privateFolder();
    } catch {
      // No writable temporary folder: the caller falls back to Node's pipes.
      resolve(undefined);
      return;
    }
    const paths: [string, string] = [join(folder, `${number}.out`), join(folder, `${number}.err`)];
    execFile('mkfifo', ['-m', '600', ...paths], { timeout: MKFIFO_TIMEOUT_MS }, (error) => {
      resolve(error === null ? paths : undefined);
    });
  });
}

function privateFolder(): string {
  const path = mkdtempSync(join(tmpdir(), 'fairlead-pipes-'));
  if (!removesFolder)
    process.on('exit', () => folder !== undefined && rmSync(folder, { recursive: true, force: true }));
  removesFolder = true;
  return path;
}
