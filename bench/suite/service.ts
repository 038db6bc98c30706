/** Runs server and sandboxes as the systemd units do: in cgroups of their own with the units' CPUWeight. */
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

const UNIT = new URL('../../../systemd/fairlead.service', import.meta.url);
const SLICE = new URL('../../../systemd/system-fairlead_sandboxes.slice', import.meta.url);
/** The CPU controller of cgroups version 1 and 2. */
const V1 = '/sys/fs/cgroup/cpu';
const V2 = '/sys/fs/cgroup';
/** Version 1 counts shares: 1024 where version 2 and systemd have 100. */
const SHARES_A_WEIGHT = 10.24;
const REMOVALS = 50;

/** A process's cgroup, until it is released. */
export interface Service {
  weight: number;
  /** Call after the process has ended. */
  release(): Promise<void>;
}

/** Undefined without root or without a CPU controller. */
export async function asService(pid: number, name: string): Promise<Service | undefined> {
  const weight = await weightIn(UNIT);
  const place = await makeGroup(`fairlead-bench-${name}-${pid}`, weight);
  if (place === undefined) return undefined;
  try {
    await writeFile(`${place}/cgroup.procs`, String(pid));
  } catch (error) {
    await remove(place); // the process has ended
    throw error;
  }
  return { weight, release: () => remove(place) };
}

/** A cgroup for `sandbox.cgroupParent`, until it is released. */
export interface SandboxSlice {
  parent: string;
  release(): Promise<void>;
}

/** Undefined as `asService`. Docker must use the cgroupfs driver, as it does where systemd is not PID 1. */
export async function sandboxSlice(name: string): Promise<SandboxSlice | undefined> {
  const group = `fairlead-bench-sandboxes-${name}`;
  const place = await makeGroup(group, await weightIn(SLICE));
  if (place === undefined) return undefined;
  // Docker makes the group in each other controller of version 1, and leaves it there.
  const others = place.startsWith(`${V1}/`)
    ? (await readdir(V2)).map((controller) => `${V2}/${controller}/${group}`)
    : [];
  const release = async (): Promise<void> => {
    await remove(place);
    for (const other of others) await rmdir(other).catch(() => undefined); // not there, or another name of one that was
  };
  return { parent: `/${group}`, release };
}

async function weightIn(unit: URL): Promise<number> {
  return Number(/^CPUWeight=(\d+)$/m.exec(await readFile(unit, 'utf8'))?.[1]);
}

async function makeGroup(name: string, weight: number): Promise<string | undefined> {
  const [first, second] = [`${V1}/${name}`, `${V2}/${name}`];
  if (await made(first, 'cpu.shares', Math.round(weight * SHARES_A_WEIGHT))) return first;
  if (await made(second, 'cpu.weight', weight)) return second;
  return undefined;
}

async function made(folder: string, file: string, value: number): Promise<boolean> {
  try {
    await mkdir(folder);
  } catch (error) {
    if (isRefused(error)) return false;
    throw error;
  }
  try {
    await writeFile(`${folder}/${file}`, String(value));
    return true;
  } catch (error) {
    await rmdir(folder);
    if (isRefused(error)) return false;
    throw error;
  }
}

/** No such controller, no rights, or a read-only file system. */
function isRefused(error: unknown): boolean {
  return ['ENOENT', 'EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '');
}

/** The kernel releases a group a moment after its last process. */
async function remove(folder: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await rmdir(folder);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY' || attempt === REMOVALS) throw error;
      await delay(20);
    }
  }
}
