/** The children of a process, from /proc. */
import { readdir, readFile } from 'node:fs/promises';
import { unlessGone } from '../suite/cpu.js';

/** Zombies count, too. */
export async function childrenOf(pid: number): Promise<number> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const parents = await Promise.all(pids.map(parentOf));
  return parents.filter((parent) => parent === pid).length;
}

/** proc(5): `pid (name) state ppid …`; the name may hold anything. Undefined when it ended meanwhile. */
async function parentOf(pid: string): Promise<number | undefined> {
  const stat = await unlessGone(readFile(`/proc/${pid}/stat`, 'utf8'));
  return stat === undefined ? undefined : Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}
