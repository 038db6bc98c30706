/** What code in a sandbox could do if nothing separated it from its MCP server: done from the host, as root. Runs in tests. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { docker } from './docker.js';

/** The host's pid of the container's MCP server: the first child of its init process. */
export async function serverPid(container: string): Promise<number> {
  const { State } = await docker().getContainer(container).inspect();
  const children = await readFile(`/proc/${State.Pid}/task/${State.Pid}/children`, 'utf8');
  const pid = Number(children.split(' ')[0]);
  if (!(pid > 0)) throw new Error(`the container ${container} has no server`); // 0 would be this process's own group
  return pid;
}

/** Runs a shell command whose output goes to the stdout of the container's MCP server. The caller ends it, if it does not end. */
export async function printAsServer(container: string, command: string): Promise<ChildProcess> {
  const pid = await serverPid(container);
  return spawn('sh', ['-c', `exec > /proc/${pid}/fd/1; ${command}`], { stdio: ['ignore', 'inherit', 'inherit'] });
}
