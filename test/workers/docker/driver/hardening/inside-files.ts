/** Writes and looks where a sandbox has no business. Runs in the sandbox by itself; prints the error of each as JSON. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';

const [hostPid = '0'] = process.argv.slice(2);
const answers: Record<string, string> = {};

function attempt(name: string, work: () => unknown): void {
  try {
    work();
    answers[name] = 'works';
  } catch (error) {
    const { code, stderr } = error as NodeJS.ErrnoException & { stderr?: Buffer };
    answers[name] = code ?? stderr?.toString() ?? String(error);
  }
}

for (const path of [
  '/file',
  '/etc/file',
  '/opt/fairlead/file',
  '/usr/bin/file',
  '/dev/file',
  '/proc/file',
  '/sys/file',
]) {
  attempt(`create ${path}`, () => fs.writeFileSync(path, 'x'));
}
for (const path of [
  '/etc/passwd',
  '/etc/hosts',
  '/etc/resolv.conf',
  '/bin/busybox',
  '/opt/fairlead/workspace.cjs',
  '/sbin/docker-init',
  '/proc/sys/kernel/core_pattern',
  '/proc/sys/kernel/hostname',
  '/proc/sys/fs/inotify/max_user_instances',
  '/proc/sysrq-trigger',
  '/proc/irq/default_smp_affinity',
  '/sys/kernel/uevent_helper',
  '/sys/kernel/mm/transparent_hugepage/enabled',
]) {
  attempt(`write ${path}`, () => fs.closeSync(fs.openSync(path, 'r+')));
}
attempt('link /etc/passwd', () => fs.linkSync('/etc/passwd', '/workspace/passwd'));
attempt('chmod /etc/passwd', () => fs.chmodSync('/etc/passwd', 0o777));
attempt('chown', () => {
  fs.writeFileSync('/workspace/chown', 'x');
  fs.chownSync('/workspace/chown', 0, 0);
});
attempt('a safer place from the OOM killer', () => fs.writeFileSync('/proc/self/oom_score_adj', '-500'));
attempt('a group of its own', () => fs.mkdirSync('/sys/fs/cgroup/memory/mine'));
attempt('kernel memory', () => fs.readFileSync('/proc/kcore'));
attempt('kernel log', () => fs.readFileSync('/proc/kmsg'));
attempt('physical memory', () => fs.openSync('/dev/mem', 'r'));
attempt('signal a process of the host', () => process.kill(Number(hostPid), 0));
attempt('memory of a process of the host', () => fs.openSync(`/proc/${hostPid}/mem`, 'r'));
attempt('busybox mount', () => execFileSync('mount', ['-o', 'remount,rw', '/'], { stdio: 'pipe' }));

const found: string[] = [];
/** All of /sys and /dev: what can be written, what is a disk, what is a socket. */
function walk(folder: string, into: (path: string, entry: fs.Dirent) => void): void {
  let entries: fs.Dirent[];
  try {
    entries = fs.readdirSync(folder, { withFileTypes: true });
  } catch {
    return; // not to be read, or gone
  }
  for (const entry of entries) {
    const path = join(folder, entry.name);
    into(path, entry);
    if (entry.isDirectory() && path !== '/proc') walk(path, into);
  }
}
walk('/sys', (path, entry) => {
  if (!entry.isFile()) return;
  try {
    fs.closeSync(fs.openSync(path, fs.constants.O_WRONLY));
    found.push(`writable ${path}`);
  } catch {
    // refused, as it must be
  }
});
walk('/', (path, entry) => {
  if (entry.isBlockDevice()) found.push(`disk ${path}`);
  if (entry.isSocket()) found.push(`socket ${path}`);
  if (entry.isFile() && (fs.lstatSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o6000) found.push(`suid ${path}`);
});

/** Undefined where it is another user's, or the kernel protects it. */
function environOf(pid: string): string[] | undefined {
  try {
    return fs.readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').filter(Boolean);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') return undefined;
    throw error;
  }
}
const pids = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
const seen = pids.map((pid) => ({
  pid: Number(pid),
  command: fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim(),
  environ: environOf(pid),
}));
console.log(JSON.stringify({ answers, found, seen }));
