/** Removes the processes that an earlier run, or this thread's predecessor, has left behind. Agent threads. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../../../src/shared/log.js';
import { killRecorded } from '../../../../src/shared/process-record.js';

export interface ThreadPlace {
  dataDir: string;
  index: number;
  threads: number;
}

/** The parent of the folders of this thread's processes. */
export function commandFolder({ dataDir, index }: ThreadPlace): string {
  return join(dataDir, 'commands', String(index));
}

/** Kills this thread's leftover processes and removes their folders; thread 0 also those of threads that no longer exist. Never rejects. */
export async function sweepCommands(place: ThreadPlace, log: Logger): Promise<void> {
  try {
    const root = join(place.dataDir, 'commands');
    const ours = (name: string): boolean =>
      name === String(place.index) || (place.index === 0 && !(Number(name) < place.threads));
    for (const name of (await entriesOf(root)).filter(ours)) await sweepFolder(join(root, name), log);
  } catch (error) {
    log.warn({ err: error }, 'processes of an earlier run could not be cleaned up');
  }
}

async function sweepFolder(folder: string, log: Logger): Promise<void> {
  for (const name of await entriesOf(folder)) {
    await killRecorded(join(folder, name));
    await rm(join(folder, name), { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    log.info({ folder: name }, 'a process of an earlier run was killed');
  }
}

async function entriesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
