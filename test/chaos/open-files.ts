/** A process's open files, in words that are equal for two processes that do the same. Runs in tests. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** Sorted. `ports` names the far ends of TCP connections; those of Unix sockets are unknown. */
export async function openFiles(pid: number, ports: Readonly<Record<number, string>>): Promise<string[]> {
  const folder = `/proc/${pid}/fd`;
  const tcp = new Map([...(await tcpSockets('tcp')), ...(await tcpSockets('tcp6'))]);
  const links = await Promise.all((await readdir(folder)).map((fd) => readlink(join(folder, fd)).catch(() => ''))); // closed
  return links
    .filter((link) => link !== '')
    .map((link) => {
      const inode = /^socket:\[(\d+)\]$/.exec(link)?.[1];
      if (inode === undefined) return link.replace(/\[\d+\]/, '');
      const port = tcp.get(inode);
      return port === undefined ? 'socket: unix' : `socket: tcp, ${ports[port] ?? (port === 0 ? 'listens' : 'other')}`;
    })
    .sort();
}

/** Remote ports by inode; 0 for a listening socket. */
async function tcpSockets(table: 'tcp' | 'tcp6'): Promise<[inode: string, port: number][]> {
  const text = await readFile(`/proc/net/${table}`, 'utf8').catch(() => ''); // no IPv6 here
  return text
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => {
      const fields = line.trim().split(/\s+/);
      return [fields[9] ?? '', Number.parseInt(fields[2]?.split(':')[1] ?? '0', 16)];
    });
}
