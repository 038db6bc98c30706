/** Runs a bench of a built work tree in a process of its own, as the suite does. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import type { BenchContext, BenchResult } from '../suite/bench.js';
import type { BenchMessage } from '../suite/messages.js';

/** A bench has so long to clean up after an interruption; then it is killed. */
const CLEAN_UP_MS = 60_000;

/** Resolves with the result, or with the reason why there is none; after an interruption, when the bench has cleaned up. */
export async function runBench(
  root: string,
  name: string,
  { full, signal, progress }: BenchContext,
): Promise<BenchResult | string> {
  signal.throwIfAborted();
  // In its own process group, so that a Ctrl-C comes once, from here, and not from the terminal as well.
  const child = fork(join(root, 'dist', 'bench', 'suite', 'child-main.js'), [name, ...(full ? ['--full'] : [])], {
    cwd: root,
    detached: true,
  });
  let told: BenchResult | string = 'it ended without a result';
  child.on('message', (message: BenchMessage) => {
    if (message.type === 'progress') progress(message.doing, message.share);
    else told = message.type === 'result' ? message.result : message.message;
  });
  let deadline: NodeJS.Timeout | undefined;
  const interrupt = (): void => {
    progress('cleaning up');
    child.kill('SIGTERM');
    deadline = setTimeout(() => endGroup(child.pid), CLEAN_UP_MS);
  };
  // A second Ctrl-C ends this process at once, and the bench with it.
  const onExit = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', interrupt, { once: true });
  process.once('exit', onExit);
  try {
    await new Promise<void>((resolve, reject) => child.once('exit', () => resolve()).once('error', reject));
    return told;
  } finally {
    clearTimeout(deadline);
    signal.removeEventListener('abort', interrupt);
    process.off('exit', onExit);
  }
}

function endGroup(pid: number | undefined): void {
  if (pid !== undefined) process.kill(-pid, 'SIGKILL');
}
