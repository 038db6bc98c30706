/** Records the processes that belong to a folder, so that a later run ends those and no others. Docker thread and agent threads. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export const RECORD_FILE = 'process.json';
const RECORDS = /^process(-\d+)?\.json$/;

interface ProcessRecord {
  pid: number;
  /** Start time in clock ticks since the boot, from /proc; '' without /proc. Together with the pid it is unique. */
  started: string;
}

export async function recordOf(pid: number): Promise<ProcessRecord> {
  return { pid, started: (await startTime(pid)) ?? '' };
}

/** Records a process group: the folder's `own`, or a further one. */
export async function writeRecord(folder: string, pid: number, own: boolean): Promise<void> {
  await writeFile(join(folder, own ? RECORD_FILE : `process-${pid}.json`), JSON.stringify(await recordOf(pid)));
}

/** Kills the recorded process groups, if they are still the same processes. */
export async function killRecorded(folder: string): Promise<void> {
  for (const file of await filesOf(folder)) if (RECORDS.test(file)) await killOne(join(folder, file));
}

async function filesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

async function killOne(file: string): Promise<void> {
  let record: ProcessRecord;
  try {
    record = JSON.parse(await readFile(file, 'utf8')) as ProcessRecord;
  } catch (error) {
    // A run that died while it wrote the record leaves half of it; its process has ended with its stdin.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return;
    throw error;
  }
  const { pid, started } = record;
  if (!Number.isInteger(pid) || pid <= 1 || started === '') return;
  if ((await startTime(pid)) === started) killGroup(pid);
}

/** Without effect when the group has gone. */
export function killGroup(pid: number, signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): void {
  if (pid <= 1) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Field 22 of /proc/PID/stat. It is counted from the last bracket, since the name may hold spaces and brackets. */
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
