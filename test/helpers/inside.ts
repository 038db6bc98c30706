/** What code in a sandbox could do if nothing separated it from its MCP server: done from the host, as root. Runs in tests. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { docker } from './docker.js';

export interface Printing {
  /** Resolves when it has ended, or was stopped. */
  ended: Promise<unknown>;
  stop: () => void;
}

/** The host's pid of the container's MCP server: the first child of its init process. */
export async function serverPid(container: string): Promise<number> {
  const { State } = await docker().getContainer(container).inspect();
  const children = await readFile(`/proc/${State.Pid}/task/${State.Pid}/children`, 'utf8');
  const pid = Number(children.split(' ')[0]);
  if (!(pid > 0)) throw new Error(`the container ${container} has no server`); // 0 would be this process's own group
  return pid;
}

/**
 * Runs a shell command whose output goes to the stdout of the container's MCP server. It has the container's cgroups and ends
 * with it, as the container's own processes do. The caller ends it, if it does not end.
 */
export async function printAsServer(container: string, command: string): Promise<Printing> {
  const pid = await serverPid(container);
  const join = (await cgroupsOf(pid)).map((group) => `[ ! -d ${group} ] || echo $$ > ${group}/cgroup.procs`);
  const inside = `exec > /proc/${pid}/fd/1; ${command}`;
  const script = [...join, `exec nsenter --target ${pid} --pid sh -c "$0"`].join('; ');
  // A group of its own, since nsenter does not end what it has started when it is killed.
  const shell = spawn('sh', ['-c', script, inside], { stdio: ['ignore', 'inherit', 'inherit'], detached: true });
  const ended = once(shell, 'exit');
  const stop = (): void => {
    if (shell.exitCode === null && shell.signalCode === null) process.kill(-shell.pid!, 'SIGKILL');
  };
  return { ended, stop };
}

/** Folders of the cgroups of a process, where they are mounted: one of version 2, or one for each controller of version 1. */
async function cgroupsOf(pid: number): Promise<string[]> {
  const lines = (await readFile(`/proc/${pid}/cgroup`, 'utf8')).trim().split('\n');
  return lines.flatMap((line) => {
    const [, controllers = '', path = '/'] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path === '/') return []; // this controller has no group for the container
    return [`/sys/fs/cgroup/${controllers.replace(/^name=/, '')}${path}`];
  });
}
