/** Memory of processes, containers and sockets, and files on disk, as the kernel reports them. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { kibField, queuedBytes } from '../suite/proc.js';

/** The kernel's caches that grow with connections. */
const SOCKET_CACHES =
  /^(?:TCP|TCPv6|sock_inode_cache|filp|eventpoll_epi|ep_head|tcp_bind_bucket|tcp_bind2_bucket|skbuff_\w+) /;

export async function residentBytes(pid: number): Promise<{ rss: number; mapped: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return { rss: kibField(status, 'VmRSS'), mapped: kibField(status, 'RssFile') };
}

/** Memory of all sockets of this machine, both ends of loopback connections; NaN without root. */
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

/** Sum over containers, in bytes. */
export interface ContainerMemory {
  /** Proportional set size of their processes: shared file pages count in parts. */
  pss: number;
  /** The anonymous part of it. */
  anonymous: number;
  shims: number;
  /** The kernel's own memory that is charged to them. */
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

/** Of cgroups version 1 or 2. */
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

/** Disk space of a folder. */
export async function diskBytes(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true });
  const stats = await Promise.all(names.map((name) => stat(join(folder, name))));
  return stats.reduce((total, { blocks }) => total + blocks * 512, 0);
}
