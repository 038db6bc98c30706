/** Waits until a file or a folder is on the disk. Docker thread. */
import { closeSync, fsync, openSync } from 'node:fs';
import { promisify } from 'node:util';

const sync = promisify(fsync);

/**
 * Opened at once: Node closes what a thread has open when it dies, but not a file that it was just opening. Rejects with the
 * disk's error.
 */
export async function syncPath(path: string): Promise<void> {
  const fd = openSync(path, 'r');
  try {
    await sync(fd);
  } finally {
    closeSync(fd);
  }
}
