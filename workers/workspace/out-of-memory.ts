/** Counts the programs of this sandbox that the kernel has killed because the sandbox's memory was used up. Runs in the sandbox. */
import { readFileSync } from 'node:fs';

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
