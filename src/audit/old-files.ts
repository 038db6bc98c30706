/** Removes files of the audit log that are older than they are kept, once the log itself says so. Main thread. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseLine } from './chain.js';
import { listLogs, type LogName } from './files.js';
import { readLines } from './lines.js';

const DAY_MS = 86_400_000;

export interface OldFiles {
  names: string[];
  /** The newest entry in them, which the first entry that stays names. */
  through: number;
  sha256: string;
}

/** Undefined: none is old enough. The file that is written stays. */
export async function findOldFiles(folder: string, keepDays: number, today: string): Promise<OldFiles | undefined> {
  if (keepDays === 0) return undefined;
  const before = new Date(Date.parse(today) - keepDays * DAY_MS).toISOString().slice(0, 10);
  const logs = await listLogs(folder);
  const count = logs.slice(0, -1).findIndex(({ day }) => day >= before);
  const old = logs.slice(0, count < 0 ? logs.length - 1 : count);
  if (old.length === 0) return undefined;
  const stays = await firstEntry(folder, logs.slice(old.length));
  if (!stays) return undefined;
  return { names: old.map(({ name }) => name), through: stays.n - 1, sha256: stays.prev };
}

export async function removeFiles(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) await rm(join(folder, name), { force: true });
}

async function firstEntry(folder: string, logs: readonly LogName[]): Promise<{ n: number; prev: string } | undefined> {
  for (const { name } of logs) {
    for await (const { bytes } of readLines(join(folder, name))) {
      const entry = parseLine(bytes.toString());
      if (entry) return entry;
    }
  }
  return undefined;
}
