/** Tells which accounts listen on a port of this machine, from /proc/net. Command line's process. */
import { readFileSync } from 'node:fs';

const LISTEN = '0A';
/** Addresses by which a connection to loopback arrives: all, 127.0.0.0/8, ::1; IPv4 may be mapped into IPv6. Words are little-endian. */
const REACHED = /^(0{8}|0{32}|0{24}01000000|(0{16}FFFF0000)?([0-9A-F]{6}7F|0{8}))$/;

/** The accounts, as uids, that would get a connection to loopback on this port and are not in `known`. */
export function strangersAt(port: number, known: ReadonlySet<number>): number[] {
  const uids = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => listenersIn(readTable(file), port));
  return [...new Set(uids)].filter((uid) => !known.has(uid));
}

/** Pure. `table` is /proc/net/tcp or tcp6 (proc_pid_net(5)). */
export function listenersIn(table: string, port: number): number[] {
  return table.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , uid] = line.trim().split(/\s+/);
    const [address = '', hexPort = ''] = local.split(':');
    if (state !== LISTEN || Number.parseInt(hexPort, 16) !== port || !REACHED.test(address)) return [];
    return [Number(uid)];
  });
}

/** Empty where the kernel has no such table, as without IPv6. */
function readTable(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
