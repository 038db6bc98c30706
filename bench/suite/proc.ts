/** A process's memory and files, and the kernel's memory for sockets, from /proc. */
import { readdir, readFile } from 'node:fs/promises';

const PAGE_BYTES = 4_096;

/** Exact, where VmRSS lags behind by up to a few hundred KiB. */
export async function rssBytes(pid: number): Promise<number> {
  return kibField(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'), 'Rss');
}

/** Sockets included. */
export async function openFiles(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length;
}

/** Bytes in the machine's TCP queues with the overhead of their buffers, counted in pages. */
export async function queuedBytes(): Promise<number> {
  const pages = /^TCP:.* mem (\d+)/m.exec(await readFile('/proc/net/sockstat', 'utf8'))?.[1];
  return Number(pages ?? 0) * PAGE_BYTES;
}

/** A line `NAME:   12 kB`, in bytes. */
export function kibField(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) * 1_024;
}
