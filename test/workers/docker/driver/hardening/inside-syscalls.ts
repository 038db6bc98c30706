/**
 * System calls that node and busybox have no way to make, each by a program of 200 bytes put together here: x86-64, no
 * compiler. Runs in the sandbox by itself; prints what the kernel answered to each, or to those named, as JSON.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';

const BASE = 0x400000;
const HEADERS = 120;
/** `mov REGISTER, imm32` for rdi, rsi, rdx, r10, r8, r9: the arguments in their order. */
const ARGUMENTS = [[0xbf], [0xbe], [0xba], [0x41, 0xba], [0x41, 0xb8], [0x41, 0xb9]];
/** int 0x80: the 32-bit table, in which the same numbers mean other calls. */
const COMPAT = Buffer.from([0xcd, 0x80]);
/** syscall; neg eax; mov edi, eax; mov eax, 60; syscall: it exits with the errno. */
const CALL_AND_EXIT = Buffer.from([0x0f, 0x05, 0xf7, 0xd8, 0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]);

type Argument = number | string | Buffer;

/** A number is given as it is, anything else by its address. */
function program(call: number, args: readonly Argument[], compat: boolean): Buffer {
  const moves = args.reduce<number>((bytes, _, i) => bytes + (ARGUMENTS[i]?.length ?? 0) + 4, 0);
  let address = BASE + HEADERS + 5 + moves + CALL_AND_EXIT.length;
  const code = [move([0xb8], call)];
  const data: Buffer[] = [];
  for (const [i, arg] of args.entries()) {
    let value = address;
    if (typeof arg === 'number') value = arg;
    else {
      const bytes = Buffer.concat([Buffer.from(arg), Buffer.alloc(1)]);
      data.push(bytes);
      address += bytes.length;
    }
    code.push(move(ARGUMENTS[i] ?? [], value));
  }
  const end = compat ? Buffer.concat([COMPAT, CALL_AND_EXIT.subarray(2)]) : CALL_AND_EXIT;
  const file = Buffer.concat([Buffer.alloc(HEADERS), ...code, end, ...data]);
  file.write('\x7fELF\x02\x01\x01', 'latin1');
  file.writeUInt16LE(2, 16); // an executable
  file.writeUInt16LE(62, 18); // for x86-64
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(BigInt(BASE + HEADERS), 24); // entry
  file.writeBigUInt64LE(64n, 32); // the one program header follows
  file.writeUInt16LE(64, 52);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(1, 56);
  file.writeUInt32LE(1, 64); // load
  file.writeUInt32LE(7, 68); // rwx
  file.writeBigUInt64LE(BigInt(BASE), 80);
  file.writeBigUInt64LE(BigInt(BASE), 88);
  file.writeBigUInt64LE(BigInt(file.length), 96);
  file.writeBigUInt64LE(BigInt(file.length), 104);
  file.writeBigUInt64LE(4096n, 112);
  return file;
}

function move(register: readonly number[], value: number): Buffer {
  const bytes = Buffer.from([...register, 0, 0, 0, 0]);
  bytes.writeUInt32LE(value >>> 0, register.length);
  return bytes;
}

const zeros = Buffer.alloc(256);
const here = -100;
const user = 0x1000_0000;

const calls: Record<string, [number, ...Argument[]]> = {
  getppid: [110], // must work: the programs are good
  shmget: [29, 4660, 4096, 0o1666], // and so must this: memory for all who see it, by its number

  add_key: [248, 'user', 'a', 'b', 1, -3],
  request_key: [249, 'user', 'a', 0, 0],
  keyctl: [250, 0, -3, 0],
  bpf: [321, 0, zeros, 72],
  perf_event_open: [298, zeros, 0, -1, -1, 0],
  userfaultfd: [323, 0],
  syslog: [103, 3, zeros, 10],
  kcmp: [312, 1, 1, 0, 0, 0],

  mount: [165, 'none', '/tmp', 'tmpfs', 0, 0],
  mount_bind: [165, '/etc', '/workspace', 0, 4096, 0],
  mount_rw: [165, 'none', '/', 0, 32 + 4096, 0],
  umount: [166, '/proc/sys', 2],
  pivot_root: [155, '/', '/'],
  chroot: [161, '/tmp'],
  open_tree: [428, here, '/', 1],
  move_mount: [429, 0, '', 0, '', 0],
  fsopen: [430, 'tmpfs', 0],
  fsmount: [432, 0, 0, 0],
  mount_setattr: [442, here, '/', 0, zeros, 32],
  name_to_handle_at: [303, here, '/', zeros, zeros, 0],
  open_by_handle_at: [304, 0, zeros, 0],
  fanotify_init: [300, 0, 0],
  mknod_block: [133, '/workspace/disk', 0o060666, 0xfe00],
  mknod_char: [133, '/workspace/mem', 0o020666, 0x0101],

  unshare_user: [272, user],
  unshare_mount: [272, 0x2_0000],
  unshare_net: [272, 0x4000_0000],
  unshare_cgroup: [272, 0x200_0000],
  clone_user: [56, user + 17, 0, 0, 0, 0],
  clone_mount: [56, 0x2_0000 + 17, 0, 0, 0, 0],
  clone3: [435, zeros, 64],
  setns: [308, 0, 0],

  init_module: [175, zeros, 10, ''],
  finit_module: [313, 0, '', 0],
  delete_module: [176, 'x', 0],
  kexec_load: [246, 0, 0, 0, 0],
  kexec_file_load: [320, 0, 0, 0, 0, 0],
  reboot: [169, 0xfee1dead, 0x28121969, 0, 0], // Ctrl-Alt-Del off: harmless where it works
  swapon: [167, '/tmp/x', 0],
  acct: [163, '/tmp/a'],
  iopl: [172, 3],
  ioperm: [173, 0, 1, 1],
  quotactl: [179, 0, '/dev/vda', 0, 0],
  clock_settime: [227, 0, zeros],
  sethostname: [170, 'other', 5],
  personality: [135, 0x4_0000],

  setuid: [105, 0],
  setgid: [106, 0],
  setgroups: [116, 1, zeros],
  setpriority: [141, 0, 0, -20],
  sched_realtime: [144, 0, 1, Buffer.from([99, 0, 0, 0])],
  more_files: [160, 7, Buffer.from(new BigUint64Array([1_000_000n, 1_000_000n]).buffer)],
  core_files: [160, 4, Buffer.from(new BigUint64Array([1_000_000n, 1_000_000n]).buffer)],

  socket_packet: [41, 17, 3, 0x300],
  socket_raw: [41, 2, 3, 1],
  socket_raw6: [41, 10, 3, 58],
  socket_xdp: [41, 44, 3, 0],

  socket_unix: [41, 1, 1, 0], // and these must work, too
  socket_tcp: [41, 2, 1, 6],
  socket_udp6: [41, 10, 2, 17],
  socket_routes: [41, 16, 3, 0],

  socket_ping: [41, 2, 2, 1],
  socket_ping6: [41, 10, 2, 58],
  socket_mptcp: [41, 2, 1, 262],
  socket_sctp: [41, 2, 5, 132],
  socket_seqpacket: [41, 2, 5, 0],
  socket_udplite: [41, 2, 2, 136],
  socket_xfrm: [41, 16, 3, 6],
  socket_netfilter: [41, 16, 3, 12],
  socket_uevent: [41, 16, 2, 15],
  socket_generic: [41, 16, 3, 16],
  socket_vsock: [41, 40, 1, 0],
  socket_alg: [41, 38, 5, 0],
  socket_bluetooth: [41, 31, 3, 1],
  socket_can: [41, 29, 3, 1],
  socket_tipc: [41, 30, 5, 0],
  socket_rds: [41, 21, 5, 0],
  socket_smc: [41, 43, 1, 0],
  socketpair_tipc: [53, 30, 5, 0, zeros],
  io_uring_setup: [425, 1, zeros],
  io_setup: [206, 1, zeros],
  memfd_secret: [447, 0],
  pidfd_getfd: [438, 0, 0, 0],
  process_madvise: [440, 0, zeros, 0, 0, 0],
  modify_ldt: [154, 0, zeros, 16],
  adjtimex: [159, zeros],
  compat_getpid: [20],
  compat_socketcall: [102, 1, zeros],
};

const chosen = process.argv.slice(2);
const answers: Record<string, string> = {};
for (const [name, [call, ...args]] of Object.entries(calls)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  const path = `/workspace/call-${name}`;
  writeFileSync(path, program(call, args, name.startsWith('compat_')), { mode: 0o755 });
  const { status, signal } = spawnSync(path, { stdio: 'ignore', timeout: 5_000 });
  // Above every errno: a small number that was returned, negated, in a byte.
  const worked = status === 0 || (status ?? 0) > 133;
  answers[name] = signal ?? (worked ? 'works' : getSystemErrorName(-(status ?? 0)));
}
console.log(JSON.stringify(answers));
