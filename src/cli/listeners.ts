/** Tells which accounts listen on a port of this machine, from /proc/net. Command line's process. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const LISTEN = '0A';
const MAX_NAMED = 3;
/** Addresses by which a connection to loopback arrives: all, 127.0.0.0/8, ::1; IPv4 may be mapped into IPv6. Words are little-endian. */
const REACHED = /^(0{8}|0{32}|0{24}01000000|(0{16}FFFF0000)?([0-9A-F]{6}7F|0{8}))$/;

/** The accounts, as uids, that would get a connection to loopback on this port and are not in `known`. */
export function strangersAt(port: number, known: ReadonlySet<number>): number[] {
  const uids = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => listenersIn(readTable(file), port));
  return [...new Set(uids)].filter((uid) => !known.has(uid));
}

/** Which programs listen on the port of this machine, in words: as root all are seen, else those of one's own account. */
export function holdersOf(port: number, proc = '/proc'): string {
  const found = ['tcp', 'tcp6'].flatMap((name) => listening(readTable(`${proc}/net/${name}`), port));
  const sockets = new Set(found.map(({ inode }) => `socket:[${inode}]`));
  const programs = readdirSync(proc).flatMap((pid) => {
    if (!/^\d+$/.test(pid) || !hasOpen(`${proc}/${pid}/fd`, sockets)) return [];
    return [`${nameOf(`${proc}/${pid}/comm`)} (pid ${pid})`];
  });
  if (programs.length > 0) return programs.slice(0, MAX_NAMED).join(', ');
  const [first] = found;
  return first === undefined ? 'another program' : `a program of the account ${first.uid}`;
}

/** False also where they are not ours to see, or the process has ended. */
function hasOpen(folder: string, sockets: ReadonlySet<string>): boolean {
  try {
    return readdirSync(folder).some((fd) => sockets.has(targetOf(`${folder}/${fd}`)));
  } catch {
    return false; // the answer, whatever the reason
  }
}

function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return ''; // it was closed meanwhile
  }
}

function nameOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return 'a program'; // it has ended meanwhile
  }
}

/** Pure. `table` is /proc/net/tcp or tcp6 (proc_pid_net(5)). */
export function listenersIn(table: string, port: number): number[] {
  return listening(table, port)
    .filter(({ address }) => REACHED.test(address))
    .map(({ uid }) => uid);
}

function listening(table: string, port: number): { address: string; uid: number; inode: string }[] {
  return table.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , uid, , inode = ''] = line.trim().split(/\s+/);
    const [address = '', hexPort = ''] = local.split(':');
    if (state !== LISTEN || Number.parseInt(hexPort, 16) !== port) return [];
    return [{ address, uid: Number(uid), inode }];
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
