/** A dockerd of the test's own that can be killed or stopped, and started again on the same data. Runs in tests. */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { docker } from '../helpers/docker.js';
import { startDockerd } from '../helpers/dockerd.js';
import { eachLine, stopChild, Tail, watchExit } from '../helpers/processes.js';
import { processesOf } from './processes.js';
import { until } from '../helpers/until.js';

const BACK_MS = 30_000;
const STOP_MS = 20_000;

export interface ChaosDockerd {
  readonly host: string;
  /** Its folder, which its shims and containers name. */
  readonly folder: string;
  /** Resolves when it answers again; all its containers have ended then, but with `liveRestore`. */
  restart(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>;
  /** As when the host's power fails: dockerd, its shims and all containers are killed at once. Resolves when it answers again. */
  powerOff(): Promise<void>;
  /**
   * Containers with a shim or process that outlived a killed dockerd. Docker 20.10 forgets containers that were starting or
   * ending just then: the next daemon does not know them, so nobody can remove them. Some have lost their shim.
   */
  readonly orphans: ReadonlySet<string>;
  stop(): Promise<void>;
}

export async function startChaosDockerd(options: { liveRestore?: boolean } = {}): Promise<ChaosDockerd> {
  const first = await startDockerd(options);
  const { host } = first;
  const folder = dirname(host.replace('unix://', ''));
  const command = (await readFile(`/proc/${first.pid}/cmdline`, 'utf8')).split('\0').slice(0, -1);
  const orphans = new Set<string>();
  let pid = first.pid;
  let stop: (() => Promise<unknown>) | undefined;

  const launch = async (): Promise<void> => {
    const child = spawn('unshare', ['--net', ...command], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const exited = watchExit(child);
    const tail = new Tail();
    eachLine(child.stdout, (line) => tail.push(line));
    eachLine(child.stderr, (line) => tail.push(line));
    pid = child.pid ?? 0;
    stop = () => stopChild(child, exited, STOP_MS);
    const answers = async (): Promise<boolean> => {
      if (child.exitCode !== null) throw new Error(`dockerd did not come back:\n${tail.toString()}`);
      return docker(host)
        .ping()
        .then(
          () => true,
          () => false,
        );
    };
    await until('dockerd answers again', answers, { timeoutMs: BACK_MS, tell: () => tail.toString() });
  };

  const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<void> => {
    // A dockerd that finds its dying containerd takes it for a living one, and gives up waiting for it.
    const containerd = Number(await readFile(join(folder, 'exec', 'containerd', 'containerd.pid'), 'utf8'));
    process.kill(pid, signal);
    await until('dockerd has ended', () => ![pid, containerd].some(isAlive), { timeoutMs: BACK_MS });
  };

  return {
    host,
    folder,
    orphans,
    powerOff: async () => {
      const running = await containerPids(folder);
      const ended = end('SIGKILL');
      for (const each of running) killIfAlive(each);
      await ended;
      const gone = async (): Promise<boolean> => {
        const left = (await containerPids(folder)).filter(isAlive);
        for (const each of left) killIfAlive(each);
        return left.length === 0;
      };
      await until('all containers are dead', gone, { timeoutMs: BACK_MS });
      await launch();
    },
    restart: async (signal) => {
      await end(signal);
      const { shims, inside } = await processesOf(folder);
      for (const id of [...shims.keys(), ...inside.keys()]) orphans.add(id);
      await launch();
    },
    stop: async () => {
      const containers = await docker(host).listContainers({ all: true });
      await Promise.allSettled(containers.map(({ Id }) => docker(host).getContainer(Id).remove({ force: true })));
      await stop?.();
      const left = await containerPids(folder);
      for (const pid of left) killIfAlive(pid); // of containers that it has forgotten
      await first.stop();
    },
  };
}

/** Shims, and all that runs in containers. */
async function containerPids(folder: string): Promise<number[]> {
  return Object.values(await processesOf(folder)).flatMap((pids) => [...pids.values()].flat());
}

function killIfAlive(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false; // ESRCH
  }
}
