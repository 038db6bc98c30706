/** CPU time of a process, all its threads, as Linux counts it. */
import { readFile } from 'node:fs/promises';

/** USER_HZ: 100 on every Linux that Node runs on. */
const MS_A_TICK = 10;

/** proc(5): utime and stime, the 14th and 15th; the 2nd is a name that may hold blanks and brackets. */
export async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * MS_A_TICK;
}
