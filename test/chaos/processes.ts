/** The shims of one dockerd and the processes in its containers, from /proc. Runs in tests. */
import { readdir, readFile } from 'node:fs/promises';

/** Process ids by container id. */
export interface Processes {
  shims: Map<string, number[]>;
  inside: Map<string, number[]>;
  /** Created, not started: nothing of the image runs yet. */
  unborn: Map<string, number[]>;
}

/** A shim names its containerd's socket; a process in a container has its root in the daemon's data folder. */
export async function processesOf(folder: string): Promise<Processes> {
  const shims = new Map<string, number[]>();
  const inside = new Map<string, number[]>();
  const unborn = new Map<string, number[]>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const [command, mounts, groups] = await Promise.all(
      ['cmdline', 'mountinfo', 'cgroup'].map((file) => readOf(name, file)),
    );
    const shim = /containerd-shim.*\0-id\0([0-9a-f]{64})\0/.exec(command ?? '')?.[1];
    if (shim !== undefined && command?.includes(`${folder}/`) === true) add(shims, shim, Number(name));
    const began = !/^runc\0init\0$/.test(command ?? '');
    const root = mounts?.split('\n').find((line) => line.split(' ')[4] === '/');
    const id = /[0-9a-f]{64}/.exec(groups ?? '')?.[0];
    if (root?.includes(`${folder}/`) === true && id !== undefined) add(began ? inside : unborn, id, Number(name));
  }
  return { shims, inside, unborn };
}

function add(map: Map<string, number[]>, id: string, pid: number): void {
  map.set(id, [...(map.get(id) ?? []), pid]);
}

async function readOf(pid: string, file: string): Promise<string | undefined> {
  return readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => undefined); // the process has ended
}
