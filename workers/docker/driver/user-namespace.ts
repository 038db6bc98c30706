/**
 * Runs a program in a user namespace of its own, as the same account. Across namespaces the kernel refuses what ptrace(2) needs,
 * so the program cannot read environment, memory and open files of this account's other processes in /proc. Docker thread.
 */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const PREFIX = ['unshare', '--user', '--map-current-user', '--'];
const PROBE_MS = 5_000;

/** What stands before a command; empty where the system has no user namespaces for this account, or no `unshare`. */
export async function namespacePrefix(): Promise<readonly string[]> {
  const [file = '', ...args] = PREFIX;
  try {
    await promisify(execFile)(file, [...args, 'true'], { timeout: PROBE_MS, killSignal: 'SIGKILL' });
    return PREFIX;
  } catch (error) {
    if (error instanceof Error) return [];
    throw error;
  }
}

/** Rejects as a spawn would when there is no such program: behind a prefix that would be an exit code and no error. */
export async function mustExist(file: string, path: string): Promise<void> {
  const candidates = file.includes('/') ? [file] : path.split(':').map((folder) => join(folder, file));
  const found = await Promise.all(
    candidates.map((candidate) =>
      access(candidate, constants.X_OK).then(
        () => true,
        () => false,
      ),
    ),
  );
  if (!found.includes(true)) throw new Error(`spawn ${file} ENOENT`);
}
