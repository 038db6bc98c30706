/** The files of the audit log: their names, their order, and the head beside them. Main thread and command line. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ChainEnd } from './chain.js';

export interface LogName {
  name: string;
  /** The number of its first entry. */
  first: number;
  /** UTC, as YYYY-MM-DD. */
  day: string;
  /** Above 1 where a file for the same entry was left unusable. */
  attempt: number;
}

const NAME = /^(\d{12})-(\d{4}-\d\d-\d\d)(?:-(\d{1,6}))?\.jsonl$/;

export function auditFolder(dataDir: string): string {
  return join(dataDir, 'audit');
}

/** Beside the folder: whoever removes the folder leaves the proof that it was there. */
export function headFile(dataDir: string): string {
  return join(dataDir, 'audit-head');
}

export function logName(first: number, day: string, attempt = 1): LogName {
  const suffix = attempt === 1 ? '' : `-${attempt}`;
  return { name: `${String(first).padStart(12, '0')}-${day}${suffix}.jsonl`, first, day, attempt };
}

/** In the order of their entries. None when there is no folder. */
export async function listLogs(folder: string): Promise<LogName[]> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  const logs = names.flatMap((name) => {
    const [, first, day = '', attempt = '1'] = NAME.exec(name) ?? [];
    return first === undefined ? [] : [{ name, first: Number(first), day, attempt: Number(attempt) }];
  });
  return logs.sort((a, b) => a.first - b.first || a.attempt - b.attempt);
}

/** Written in place, so that it never needs room: all heads have one length. */
export function headText({ n, sha256 }: ChainEnd): string {
  return `${String(n).padStart(12, '0')} ${sha256}\n`;
}

/** The newest entry that was on the disk when it was written; or in words what is wrong with the head. */
export async function readHead(file: string): Promise<ChainEnd | 'missing' | 'damaged'> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'missing';
    throw error;
  }
  if (text === '') return 'missing'; // a full disk leaves it so at the first start
  const [, n, sha256] = /^(\d{12}) ([0-9a-f]{64})\n$/.exec(text) ?? [];
  return n !== undefined && sha256 !== undefined ? { n: Number(n), sha256 } : 'damaged';
}
