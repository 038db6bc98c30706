/**
 * Real pipes for a command's output. Node's `pipe` is a socket, which cannot be opened by name, so that
 * `echo oops > /dev/stderr` and `tee /dev/stderr` fail. Node cannot create pipes, but it can open named ones. Runs in the
 * sandbox.
 */
import { execFile, type ChildProcess } from 'node:child_process';
import { closeSync, constants, fstatSync, mkdtempSync, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';

export interface OutputPipes {
  stdout: Readable;
  stderr: Readable;
}

/** Open for reading and for writing. */
interface Pipe {
  readEnd: number;
  writeEnd: number;
}

type Pair = Record<'stdout' | 'stderr', Pipe>;

const MKFIFO_TIMEOUT_MS = 2000;

/** Made in advance, so that only the first command waits for mkfifo. Open, so that nothing of it stands in the sandbox's folders. */
let spare: Promise<Pair | undefined> | undefined;

/**
 * Calls `start` with spawn's stdout and stderr, and returns the ends to read from. Without mkfifo or a writable temporary
 * folder they are Node's own pipes.
 */
export async function withOutputPipes(
  start: (stdout: number | 'pipe', stderr: number | 'pipe') => ChildProcess,
): Promise<{ child: ChildProcess; pipes: OutputPipes }> {
  // Taken and replaced in one step: parallel calls must not share a pair.
  const taken = spare ?? makePair();
  spare = makePair();
  // A command before may have removed what was being made: `rm -rf /tmp/*`.
  const pair = (await taken) ?? (await makePair());
  if (!pair) {
    const child = start('pipe', 'pipe');
    if (child.stdout === null || child.stderr === null) throw new Error('spawn gave no pipes');
    return { child, pipes: { stdout: child.stdout, stderr: child.stderr } };
  }
  const { stdout, stderr } = pair;
  try {
    const child = start(stdout.writeEnd, stderr.writeEnd);
    return { child, pipes: { stdout: readable(stdout), stderr: readable(stderr) } };
  } catch (error) {
    closeSync(stdout.readEnd);
    closeSync(stderr.readEnd);
    throw error;
  } finally {
    // The command has its own copies by now. The pipe ends when the last of its processes ends.
    closeSync(stdout.writeEnd);
    closeSync(stderr.writeEnd);
  }
}

function readable({ readEnd }: Pipe): Socket {
  return new Socket({ fd: readEnd, readable: true, writable: false });
}

/** Undefined where there is no mkfifo, no writable temporary folder, no file descriptor, or the names were taken away meanwhile. */
async function makePair(): Promise<Pair | undefined> {
  let folder: string;
  try {
    folder = mkdtempSync(join(tmpdir(), 'fairlead-pipes-'));
  } catch {
    return undefined; // the caller falls back to Node's pipes
  }
  try {
    const [out, err] = [join(folder, 'out'), join(folder, 'err')];
    await promisify(execFile)('mkfifo', ['-m', '600', out, err], { timeout: MKFIFO_TIMEOUT_MS });
    const stdout = openPipe(out);
    try {
      return { stdout, stderr: openPipe(err) };
    } catch (error) {
      closeSync(stdout.readEnd);
      closeSync(stdout.writeEnd);
      throw error;
    }
  } catch {
    return undefined;
  } finally {
    // A command may have closed /tmp meanwhile: then the folder stays, and is empty.
    await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** By its name once only: what other programs put in its place meanwhile is no pipe that has a reader, and would block. */
function openPipe(path: string): Pipe {
  const readEnd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!fstatSync(readEnd).isFIFO()) throw new Error(`${path} is no pipe`);
    return { readEnd, writeEnd: openSync(`/proc/self/fd/${readEnd}`, constants.O_WRONLY) };
  } catch (error) {
    closeSync(readEnd);
    throw error;
  }
}
