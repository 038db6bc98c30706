/**
 * Has the kernel give new connections to the second of the sockets that listen on one port. uWebSockets has one certificate for
 * each socket, and closing one resets what it has not accepted: so the old one stays until it has nothing left to accept, and gets
 * nothing new. Main thread.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const LIBRARY = 'libc.so.6';
const LISTEN = '0A';
/** asm-generic/socket.h. */
const SOL_SOCKET = 1;
const SO_ATTACH_REUSEPORT_CBPF = 51;
/** A program of one instruction (struct sock_filter): BPF_RET | BPF_K, 1. Where there is one socket alone, the kernel takes that. */
const RETURN_SECOND = Buffer.from([0x06, 0, 0, 0, 1, 0, 0, 0]);
/** struct sock_fprog: the number of instructions, and where they are. */
const PROGRAM_BYTES = 16;
const ADDRESS_AT = 8;

/**
 * For the sockets of this process that listen on the port with SO_REUSEPORT, and those that join them. False where it cannot be
 * had: without koffi, on another system than Linux on a 64-bit processor, or where it is forbidden.
 */
export async function newestFirst(port: number): Promise<boolean> {
  if (process.platform !== 'linux' || !process.arch.endsWith('64')) return false;
  try {
    const { default: koffi } = await import('koffi');
    const attach = koffi.load(LIBRARY).func('int setsockopt(int, int, int, const void *, uint32_t)') as (
      ...args: [number, number, number, Buffer, number]
    ) => number;
    const program = Buffer.alloc(PROGRAM_BYTES);
    program.writeUInt16LE(1);
    program.writeBigUInt64LE(koffi.address(RETURN_SECOND), ADDRESS_AT);
    const results = listeningOn(port).map((fd) =>
      attach(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program, PROGRAM_BYTES),
    );
    return results.includes(0);
  } catch {
    return false; // no koffi, another libc, no /proc: connections that are being opened may be reset, as the caller knows
  }
}

/** File descriptors of this process. */
function listeningOn(port: number): number[] {
  const inodes = new Set(['tcp', 'tcp6'].flatMap((name) => inodesIn(readTable(name), port)));
  return readdirSync('/proc/self/fd').flatMap((fd) => (inodes.has(inodeOf(fd)) ? [Number(fd)] : []));
}

function inodesIn(table: string, port: number): string[] {
  return table.split('\n').flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [, hexPort = ''] = fields[1]?.split(':') ?? [];
    return fields[3] === LISTEN && Number.parseInt(hexPort, 16) === port ? [fields[9] ?? ''] : [];
  });
}

/** Empty where the kernel has no such table, as without IPv6. */
function readTable(name: string): string {
  try {
    return readFileSync(`/proc/self/net/${name}`, 'latin1');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

function inodeOf(fd: string): string {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1] ?? '';
  } catch {
    return ''; // the one by which the folder was read
  }
}
