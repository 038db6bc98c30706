/** Which process a sandbox's folder belongs to, so that a later run ends that one and no other. Docker thread. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export const RECORD_FILE = 'process.json';

interface ProcessRecord {
  pid: number;
  /** In clock ticks since boot, from /proc; '' where there is no /proc. With the pid it names one process for ever. */
  started: string;
}

export async function recordOf(pid: number): Promise<ProcessRecord> {
  return { pid, started: (await startTime(pid)) ?? '' };
}

/** Ends the process group that the folder's record names, if it is still the same process. */
export async function killRecorded(folder: string): Promise<void> {
  let record: ProcessRecord;
  try {
    record = JSON.parse(await readFile(join(folder, RECORD_FILE), 'utf8')) as ProcessRecord;
  } catch (error) {
    // No record, or half of one: that run ended between the folder and its record, and its process had no stdin to live by.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return;
    throw error;
  }
  const { pid, started } = record;
  if (!Number.isInteger(pid) || pid <= 1 || started === '') return;
  if ((await startTime(pid)) === started) killGroup(pid);
}

/** A group that is gone is fine. */
export function killGroup(pid: number): void {
  if (pid <= 1) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Field 22 of /proc/PID/stat; the name before it may hold spaces and brackets. */
async function startTime(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}
