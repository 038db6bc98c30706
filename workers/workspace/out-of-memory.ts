/** Whom the kernel kills when the sandbox's memory is used up, and how many it has killed. Runs in the sandbox. */
import { readFileSync, writeFileSync } from 'node:fs';

/** Of this container's own group, with cgroup v2 and v1. On a machine the root group has no such file. */
const COUNTERS = ['/sys/fs/cgroup/memory.events', '/sys/fs/cgroup/memory/memory.oom_control'];

/** Undefined where the kernel does not say it. */
export function programsOutOfMemory(): number | undefined {
  for (const file of COUNTERS) {
    try {
      const count = /^oom_kill (\d+)$/m.exec(readFileSync(file, 'latin1'))?.[1];
      if (count !== undefined) return Number(count);
    } catch {
      // not there: the other version of cgroups, or no container
    }
  }
  return undefined;
}

const MOST = '1000';

/**
 * Has the kernel kill a command, and what it starts, before the server and the runner. With equal scores the largest program
 * goes first, which is the server where many small ones use the memory up, or one that holds it as files (memfd): and with the
 * server go all files.
 */
export function killFirst(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, MOST);
  } catch {
    // it has ended already, or belongs to another user: then it keeps the score of all
  }
}
