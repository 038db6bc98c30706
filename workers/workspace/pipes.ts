/**
 * Real pipes for what a command prints. Node's own `pipe` is a socket, and a socket cannot be opened by name: under it
 * `echo oops > /dev/stderr` and `tee /dev/stderr` fail. Node cannot make pipes; named ones it can open. Runs in the sandbox.
 */
import { execFile, type ChildProcess } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

export interface OutputPipes {
  stdout: Readable;
  stderr: Readable;
}

const MKFIFO_TIMEOUT_MS = 2000;

let folder: string | undefined;
let made = 0;
/** Made in advance, so that only the first command waits for mkfifo. */
let spare: Promise<string[] | undefined> | undefined;

/**
 * Calls `start` with what to give to spawn for stdout and stderr, and returns the ends to read from. Where mkfifo is
 * missing, or there is no place for its files, those are Node's own.
 */
export async function withOutputPipes(
  start: (stdout: number | 'pipe', stderr: number | 'pipe') => ChildProcess,
): Promise<{ child: ChildProcess; pipes: OutputPipes }> {
  // Taken and replaced in one step: calls that come at once must not share one.
  const taken = spare ?? makeFifos();
  spare = makeFifos();
  const [out, err] = (await taken) ?? [];
  if (out === undefined || err === undefined) {
    const child = start('pipe', 'pipe');
    if (child.stdout === null || child.stderr === null) throw new Error('spawn gave no pipes');
    return { child, pipes: { stdout: child.stdout, stderr: child.stderr } };
  }
  const stdout = openFifo(out);
  const stderr = openFifo(err);
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
    // The command has its own by now: the end of the pipe comes when the last of its processes has gone.
    closeSync(stdout.writeEnd);
    closeSync(stderr.writeEnd);
  }
}

/** The reader first, and without waiting for a writer; then the name is of no more use. */
function openFifo(path: string): { readEnd: Socket; writeEnd: number } {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writeEnd = openSync(path, constants.O_WRONLY);
  rmSync(path);
  return { readEnd: new Socket({ fd, readable: true, writable: false }), writeEnd };
}

async function makeFifos(): Promise<string[] | undefined> {
  const number = made++;
  return new Promise((resolve) => {
    try {
      folder ??= privateFolder();
    } catch {
      // No place for temporary files: the caller falls back, which is less, but works.
      resolve(undefined);
      return;
    }
    const paths = [join(folder, `${number}.out`), join(folder, `${number}.err`)];
    execFile('mkfifo', ['-m', '600', ...paths], { timeout: MKFIFO_TIMEOUT_MS }, (error) => {
      resolve(error === null ? paths : undefined);
    });
  });
}

function privateFolder(): string {
  const made = mkdtempSync(join(tmpdir(), 'fairlead-pipes-'));
  process.on('exit', () => rmSync(made, { recursive: true, force: true }));
  return made;
}
