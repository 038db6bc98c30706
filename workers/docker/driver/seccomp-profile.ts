/**
 * The system calls that a sandbox may make, for every Docker from 20.10 on: what is not listed is refused with EPERM. Node, Python, git and
 * compilers need no more than this. Docker's own profiles let in what the year of their release thought harmless: io_uring and AF_VSOCK in
 * 20.10, all families of sockets but one until today. A pure value; docker thread.
 */

/** Without arguments that matter. Names that a host's libseccomp does not know are left out by runc. */
const ALLOWED = {
  files: [
    'access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate fchdir fchmod',
    'fchmodat fchmodat2 fchown fchownat fcntl fdatasync flock fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 ioctl lchown',
    // mkfifo is mknod; devices need a capability that no sandbox has.
    'link linkat lseek lstat mkdir mkdirat mknod mknodat newfstatat open openat openat2 readahead readlink readlinkat rename renameat renameat2',
    'rmdir stat statfs statx symlink symlinkat sync sync_file_range syncfs truncate umask unlink unlinkat utime utimensat utimes cachestat',
    'fgetxattr flistxattr fremovexattr fsetxattr getxattr lgetxattr listxattr llistxattr lremovexattr lsetxattr removexattr setxattr',
    'getxattrat listxattrat removexattrat setxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch',
  ],
  // No io_setup: its contexts are counted for the whole host, so that one sandbox could take those of all. No io_uring.
  input: [
    'read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 sendfile splice tee vmsplice pipe pipe2 poll ppoll select pselect6',
    'epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 signalfd signalfd4 timerfd_create',
    'timerfd_gettime timerfd_settime',
  ],
  memory: [
    'brk madvise membarrier memfd_create mincore mlock mlock2 mlockall mmap mprotect mremap mseal msync munlock munlockall munmap pkey_alloc',
    'pkey_free pkey_mprotect map_shadow_stack shmat shmctl shmdt shmget',
  ],
  processes: [
    'execve execveat exit exit_group fork vfork wait4 waitid getpid getppid gettid getpgid getpgrp setpgid getsid setsid kill tkill tgkill',
    'pidfd_open pidfd_send_signal prctl arch_prctl set_tid_address set_robust_list get_robust_list rseq seccomp getcpu getpriority',
    'setpriority ioprio_get ioprio_set getrlimit setrlimit prlimit64 getrusage times uname sysinfo',
    'sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval',
    'sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield landlock_add_rule landlock_create_ruleset',
    // Debuggers and leak checkers, among one's own processes.
    'landlock_restrict_self ptrace process_vm_readv process_vm_writev riscv_flush_icache riscv_hwprobe',
  ],
  users: [
    'getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid',
    'setgroups capget capset',
  ],
  signals: [
    'rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sigaltstack pause',
    'restart_syscall alarm getitimer setitimer timer_create timer_delete timer_getoverrun timer_gettime timer_settime',
  ],
  time: ['clock_getres clock_gettime clock_nanosleep gettimeofday nanosleep time getrandom'],
  waiting: [
    'futex futex_waitv futex_wait futex_wake futex_requeue semctl semget semop semtimedop msgctl msgget msgrcv msgsnd mq_getsetattr mq_notify',
    'mq_open mq_timedreceive mq_timedsend mq_unlink',
  ],
  // Which sockets there can be is decided by `SOCKETS`.
  sockets: [
    'accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg sendto setsockopt shutdown',
  ],
};

interface Argument {
  index: number;
  value: number;
  /** Of SCMP_CMP_MASKED_EQ: what the masked bits must be. */
  valueTwo?: number;
  op: 'SCMP_CMP_EQ' | 'SCMP_CMP_MASKED_EQ';
}

interface Rule {
  names: string[];
  action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO';
  /** All of them must hold. */
  args?: Argument[];
  errnoRet?: number;
}

const AF = { unix: 1, inet: 2, inet6: 10, netlink: 16 };
/** Of `type`: above it are flags such as SOCK_CLOEXEC. */
const TYPE_BITS = 0xf;
const [STREAM, DGRAM] = [1, 2];
const [ANY, TCP, UDP] = [0, 6, 17];
/** Of `protocol`, for netlink: glibc and libuv ask it for the interfaces. */
const NETLINK_ROUTE = 0;
/** CLONE_NEW* of mount, cgroup, UTS, IPC, user, PID and network. */
const NEW_NAMESPACES = 0x7e02_0000;
const ENOSYS = 38;

function allow(name: string, ...args: Argument[]): Rule {
  return { names: [name], action: 'SCMP_ACT_ALLOW', args };
}

function is(index: number, value: number): Argument {
  return { index, value, op: 'SCMP_CMP_EQ' };
}

function masked(index: number, mask: number, value: number): Argument {
  return { index, value: mask, valueTwo: value, op: 'SCMP_CMP_MASKED_EQ' };
}

/** TCP, UDP, unix sockets, and routes by netlink: no ping sockets, MPTCP, SCTP, VSOCK, ALG, packets, Bluetooth, … */
const SOCKETS: Rule[] = [
  allow('socket', is(0, AF.unix)),
  allow('socketpair', is(0, AF.unix)),
  allow('socket', is(0, AF.netlink), is(2, NETLINK_ROUTE)),
  ...[AF.inet, AF.inet6].flatMap((family) =>
    (
      [
        [STREAM, ANY],
        [STREAM, TCP],
        [DGRAM, ANY],
        [DGRAM, UDP],
      ] as const
    ).map(([type, protocol]) => allow('socket', is(0, family), masked(1, TYPE_BITS, type), is(2, protocol))),
  ),
];

const RULES: Rule[] = [
  { names: Object.values(ALLOWED).flat().join(' ').split(' '), action: 'SCMP_ACT_ALLOW' },
  ...SOCKETS,
  // Processes and threads, in the namespaces that there are.
  allow('clone', masked(0, NEW_NAMESPACES, 0)),
  // Its flags lie in memory, where a filter cannot look: libraries fall back to clone for this error alone.
  { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
  // Linux, and a question; the others switch off randomised addresses and the like.
  allow('personality', is(0, 0)),
  allow('personality', is(0, 0xffff_ffff)),
];

/** One architecture each: with a second one, the same numbers mean other calls, and `socketcall` hides the family of a socket. */
const ARCHITECTURES = ['SCMP_ARCH_X86_64', 'SCMP_ARCH_AARCH64', 'SCMP_ARCH_PPC64LE', 'SCMP_ARCH_RISCV64'];

/** For `SecurityOpt` of the API. */
export const SECCOMP_PROFILE = JSON.stringify({
  defaultAction: 'SCMP_ACT_ERRNO',
  archMap: ARCHITECTURES.map((architecture) => ({ architecture, subArchitectures: [] })),
  syscalls: RULES,
});
