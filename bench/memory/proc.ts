/** What the kernel says of memory: of a process, of a container's processes, of sockets, of files on disk. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { kibField, queuedBytes } from '../suite/proc.js';

/** Of the kernel's caches those that grow with connections. */
const SOCKET_CACHES =
  /^(?:TCP|TCPv6|sock_inode_cache|filp|eventpoll_epi|ep_head|tcp_bind_bucket|tcp_bind2_bucket|skbuff_\w+) /;

export async function residentBytes(pid: number): Promise<{ rss: number; mapped: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return { rss: kibField(status, 'VmRSS'), mapped: kibField(status, 'RssFile') };
}

/** Of all sockets of this machine, both ends of a loopback connection; NaN where only root may know. */
export async function socketBytes(): Promise<number> {
  const slabs = await readFile('/proc/slabinfo', 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EACCES' || error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (slabs === undefined) return Number.NaN;
  let bytes = 0;
  for (const line of slabs.split('\n')) {
    if (!SOCKET_CACHES.test(line)) continue;
    const [, active, , size] = line.split(/\s+/).map(Number);
    bytes += (active ?? 0) * (size ?? 0);
  }
  return bytes + (await queuedBytes());
}

/** Of all these containers together, in bytes. */
export interface ContainerMemory {
  /** Of their processes: private pages whole, pages of files shared with others in parts. */
  pss: number;
  /** What of it is no file's. */
  anonymous: number;
  shims: number;
  /** What the kernel itself holds for them and charges to them. */
  kernel: number;
}

/** `pids`: the first process of each, seen from the host. */
export async function containerBytes(pids: readonly number[]): Promise<ContainerMemory> {
  const sum: ContainerMemory = { pss: 0, anonymous: 0, shims: 0, kernel: 0 };
  for (const first of pids) {
    const cgroup = await memoryCgroup(first);
    for (const pid of (await readFile(`${cgroup}/cgroup.procs`, 'utf8')).trim().split('\n')) {
      const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
      sum.pss += kibField(rollup, 'Pss');
      sum.anonymous += kibField(rollup, 'Pss_Anon');
    }
    const shim = /^PPid:\s+(\d+)/m.exec(await readFile(`/proc/${first}/status`, 'utf8'))?.[1];
    sum.shims += kibField(await readFile(`/proc/${shim}/smaps_rollup`, 'utf8'), 'Pss');
    sum.kernel += await chargedKernel(cgroup);
  }
  return sum;
}

/** Version 1 of cgroups, or 2. */
async function memoryCgroup(pid: number): Promise<string> {
  const cgroups = await readFile(`/proc/${pid}/cgroup`, 'utf8');
  const first = /^\d+:(?:[\w,]+,)?memory(?:,[\w,]+)?:(.*)$/m.exec(cgroups)?.[1];
  if (first !== undefined) return `/sys/fs/cgroup/memory${first}`;
  return `/sys/fs/cgroup${/^0::(.*)$/m.exec(cgroups)?.[1]}`;
}

async function chargedKernel(cgroup: string): Promise<number> {
  const stats = await readFile(`${cgroup}/memory.stat`, 'utf8');
  const second = /^kernel (\d+)$/m.exec(stats)?.[1];
  return Number(second ?? (await readFile(`${cgroup}/memory.kmem.usage_in_bytes`, 'utf8')));
}

/** What a folder takes on the disk. */
export async function diskBytes(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true });
  const stats = await Promise.all(names.map((name) => stat(join(folder, name))));
  return stats.reduce((total, { blocks }) => total + blocks * 512, 0);
}
