/** Reads from /proc how much memory the processes and containers of one server hold, and how much the machine has left. */
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { containersOf, docker } from '../../test/helpers/docker.js';
import { containerBytes } from '../memory/proc.js';
import { unlessGone } from '../suite/cpu.js';
import { kibField } from '../suite/proc.js';

const ENDING_MS = 200;
const ENDING_TRIES = 50;

/** Proportional set sizes in bytes. */
export interface Held {
  /** The server, what it has started, and its store. */
  processes: number;
  /** The containers' processes and their shims. */
  containers: number;
  total: number;
  /** How many processes and containers. */
  count: number;
}

/** `roots`: with all their descendants. `instance`: the label of the containers. */
export async function heldBy(roots: readonly number[], instance: string): Promise<Held> {
  const pids = await withDescendants(roots);
  const running = (await containersOf(`fairlead.instance=${instance}`)).filter(({ state }) => state === 'running');
  const [processes, containers] = await Promise.all([sum(pids, pssOf), sum(running, ({ id }) => containerPss(id))]);
  return { processes, containers, total: processes + containers, count: pids.length + running.length };
}

async function sum<T>(all: readonly T[], bytesOf: (one: T) => Promise<number>): Promise<number> {
  return (await Promise.all(all.map(bytesOf))).reduce((total, bytes) => total + bytes, 0);
}

/** With its shim; 0 when it has ended. One that is ending may for a moment have lost its shim, and be listed as running. */
async function containerPss(id: string): Promise<number> {
  for (let tries = 1; ; tries++) {
    const pid = await firstPid(id);
    if (pid === 0) return 0;
    try {
      const { pss, shims } = await containerBytes([pid]);
      return pss + shims;
    } catch (error) {
      if (tries >= ENDING_TRIES) throw error;
      await pause(ENDING_MS);
    }
  }
}

async function firstPid(id: string): Promise<number> {
  try {
    return (await docker().getContainer(id).inspect()).State.Pid;
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return 0;
    throw error;
  }
}

/** Of the whole machine, without swapping. */
export async function availableBytes(): Promise<number> {
  return kibField(await readFile('/proc/meminfo', 'utf8'), 'MemAvailable');
}

export async function totalBytes(): Promise<number> {
  return kibField(await readFile('/proc/meminfo', 'utf8'), 'MemTotal');
}

async function pssOf(pid: number): Promise<number> {
  const rollup = await unlessGone(readFile(`/proc/${pid}/smaps_rollup`, 'utf8'));
  return rollup === undefined || rollup === '' ? 0 : kibField(rollup, 'Pss');
}

async function withDescendants(roots: readonly number[]): Promise<number[]> {
  const children = new Map<number, number[]>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await unlessGone(readFile(`/proc/${name}/stat`, 'utf8'));
    if (stat === undefined) continue;
    // proc(5): the parent is the second field after the name in brackets, which may hold anything.
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found = [...roots];
  for (const pid of found) found.push(...(children.get(pid) ?? []));
  return found;
}
