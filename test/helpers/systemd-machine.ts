/**
 * A machine with a real systemd, in a container without a network: /usr is this machine's, all else is its own. It has a Redis that
 * systemd runs, and the Docker of `host`.
 */
import { execFile } from 'node:child_process';
import { chown, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { promisify } from 'node:util';
import type Docker from 'dockerode';
import { docker } from './docker.js';
import { until } from './until.js';

const run = promisify(execFile);
const IMAGE = 'fairlead-test-systemd';
const BOOT_MS = 120_000;
/** Debian's, so that accounts and the libraries' paths are this machine's. */
const FILES = [
  'passwd',
  'group',
  'shadow',
  'gshadow',
  'login.defs',
  'nsswitch.conf',
  'ld.so.cache',
  'redis/redis.conf',
];
const FOLDERS = [
  'usr/local',
  'proc',
  'sys',
  'dev',
  'run',
  'tmp',
  'root',
  'opt',
  'home',
  'var/log',
  'var/tmp',
  'var/lib',
];

export interface Ran {
  code: number;
  /** stdout and stderr as they came. */
  output: string;
}

export interface SystemdMachine {
  /** Runs a shell command as root. */
  sh: (command: string) => Promise<Ran>;
  /** The same; rejects when it does not end with 0. */
  must: (command: string) => Promise<string>;
  /** Stops it as a machine is shut down, and boots it again. */
  reboot(): Promise<void>;
  stop(): Promise<void>;
}

/** `shared` is a folder of this machine that it sees at /shared. */
export async function bootSystemd(host: string, shared: string): Promise<SystemdMachine> {
  const engine = docker(host);
  await importRoot(engine);
  const socket = host.replace(/^unix:\/\//, '');
  const options: Docker.ContainerCreateOptions & { HostConfig: { CgroupnsMode: string } } = {
    Image: IMAGE,
    Cmd: ['/lib/systemd/systemd'],
    Env: ['container=docker', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
    StopSignal: 'SIGRTMIN+3', // systemd's “halt”
    Volumes: { '/usr/local': {} },
    HostConfig: {
      Binds: ['/usr:/usr:ro', '/sys/fs/cgroup:/sys/fs/cgroup:rw', `${socket}:/run/docker.sock`, `${shared}:/shared:ro`],
      Tmpfs: { '/run': '', '/tmp': '' },
      CapAdd: ['SYS_ADMIN'],
      SecurityOpt: ['seccomp=unconfined', 'apparmor=unconfined'],
      // The machine's cgroups, in which systemd makes its own.
      CgroupnsMode: 'host',
      NetworkMode: 'none',
    },
  };
  const container = await engine.createContainer(options);
  const sh = (command: string): Promise<Ran> => exec(container, command);
  const must = async (command: string): Promise<string> => {
    const { code, output } = await sh(command);
    if (code !== 0) throw new Error(`${command} ended with ${code}:\n${output}`);
    return output;
  };
  const booted = async () => /running|degraded/.test((await sh('systemctl is-system-running 2>&1')).output);
  const boot = async (): Promise<void> => {
    await container.start();
    await until('systemd has booted', booted, { timeoutMs: BOOT_MS });
  };
  const stop = async (): Promise<void> => container.remove({ force: true, v: true });
  try {
    await boot();
  } catch (error) {
    await stop();
    throw error;
  }
  const reboot = async (): Promise<void> => {
    await container.stop({ t: 120 });
    await boot();
  };
  return { sh, must, reboot, stop };
}

/** The few files that systemd needs of its own. */
async function importRoot(engine: Docker): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'fl-systemd-'));
  try {
    for (const name of FOLDERS) await mkdir(join(root, name), { recursive: true });
    await mkdir(join(root, 'usr/local/bin'));
    for (const name of ['bin', 'sbin', 'lib', 'lib64']) await symlink(`usr/${name}`, join(root, name));
    for (const name of FILES) {
      await mkdir(dirname(join(root, 'etc', name)), { recursive: true });
      await copyFile(join('/etc', name), join(root, 'etc', name));
    }
    // An empty one would be a first boot, which enables whatever this machine's packages bring.
    await writeFile(join(root, 'etc/machine-id'), `${'5'.repeat(32)}\n`);
    await mkdir(join(root, 'etc/systemd/system/multi-user.target.wants'), { recursive: true });
    await symlink('/lib/systemd/system/multi-user.target', join(root, 'etc/systemd/system/default.target'));
    const redis = 'redis-server.service';
    await symlink(`/lib/systemd/system/${redis}`, join(root, 'etc/systemd/system/multi-user.target.wants', redis));
    // The unit asks for a Docker. The machine's own has its socket here already.
    for (const name of ['docker.service', 'docker.socket', 'containerd.service']) {
      await symlink('/dev/null', join(root, 'etc/systemd/system', name));
    }
    // A user namespace inside the container's would need more rights than the container has.
    await mkdir(join(root, `etc/systemd/system/${redis}.d`));
    await writeFile(join(root, `etc/systemd/system/${redis}.d/container.conf`), '[Service]\nPrivateUsers=no\n');
    const [uid, gid] = await Promise.all(
      ['-u', '-g'].map(async (flag) => Number((await run('id', [flag, 'redis'])).stdout)),
    );
    for (const name of ['var/lib/redis', 'var/log/redis', 'etc/redis/redis.conf']) {
      if (name.startsWith('var')) await mkdir(join(root, name));
      await chown(join(root, name), uid ?? 0, gid ?? 0);
    }
    const tar = join(root, '..', `${root.split('/').at(-1)}.tar`);
    try {
      await run('tar', ['-cf', tar, '-C', root, '.']);
      const progress = await engine.importImage(tar, { repo: IMAGE, tag: 'latest' });
      await new Promise<void>((resolve, reject) =>
        engine.modem.followProgress(progress, (error) => (error ? reject(error) : resolve())),
      );
    } finally {
      await rm(tar, { force: true });
    }
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

async function exec(container: Docker.Container, command: string): Promise<Ran> {
  const process = await container.exec({ Cmd: ['sh', '-c', command], AttachStdout: true, AttachStderr: true });
  const stream = await process.start({});
  const both = new PassThrough();
  container.modem.demuxStream(stream, both, both);
  stream.on('end', () => both.end());
  let output = '';
  for await (const chunk of both) output += String(chunk);
  const { ExitCode } = await process.inspect();
  return { code: ExitCode ?? -1, output };
}
