/**
 * A machine with a real systemd, in a container without a network: /usr is this machine's, all else is its own. It has a Redis that
 * systemd runs, and the Docker of `host`, whose socket is a link that a test may take away.
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
  'mnt',
  'host',
  'var/log',
  'var/tmp',
  'var/lib',
];

const DOCKER_SOCKET = '/run/docker.sock';
/** As seen by whoever runs there, Docker goes away and comes back. */
export const STOP_DOCKER = `rm ${DOCKER_SOCKET}`;
export const START_DOCKER = `ln -s /host/docker.sock ${DOCKER_SOCKET}`;

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

export interface MachineOptions {
  /**
   * dpkg and apt may work: /usr is a layer in memory over this machine's, and what is installed here counts as installed there. What
   * they write into /usr does not outlive a reboot.
   */
  dpkg?: boolean;
}

/** What runs before systemd where dpkg writes. */
const DPKG = [
  'mount -t tmpfs -o size=2g tmpfs /mnt',
  'mkdir /mnt/upper /mnt/work',
  'mount -t overlay overlay -o lowerdir=/usr,upperdir=/mnt/upper,workdir=/mnt/work /usr',
  // This machine's own programs are nobody's there.
  'mount -t tmpfs tmpfs /usr/local',
  'mkdir /usr/local/bin /usr/local/sbin',
  // An image of a container forbids packages to start their services.
  'rm -f /usr/sbin/policy-rc.d',
  'rm -rf /var/lib/dpkg && cp -a /host/dpkg /var/lib/',
  'mkdir -p /etc/apt/apt.conf.d /etc/apt/preferences.d /etc/apt/sources.list.d /var/lib/apt/lists/partial /var/cache/apt/archives/partial',
].join(' && ');

/**
 * systemd mounts each controller that the kernel has. A hierarchy of cgroup v1 that this machine has not mounted would begin to exist for
 * all of it, and containerd, which then finds no place for it, tells nobody any more that a container was out of memory.
 */
export const KNOWN_CONTROLLERS = [
  String.raw`mawk 'FNR == NR { if ($3 == "cgroup") { n = split($4, o, ","); for (i = 1; i <= n; i++) m[o[i]] = 1 } next } /^#/ || ($1 in m)' /proc/mounts /proc/cgroups > /run/cgroups`,
  'mount --bind /run/cgroups /proc/cgroups',
].join(' && ');

/** `shared` is a folder of this machine that it sees at /shared. */
export async function bootSystemd(
  host: string,
  shared: string,
  { dpkg = false }: MachineOptions = {},
): Promise<SystemdMachine> {
  const engine = docker(host);
  await importRoot(engine);
  const socket = host.replace(/^unix:\/\//, '');
  const options: Docker.ContainerCreateOptions & { HostConfig: { CgroupnsMode: string } } = {
    Image: IMAGE,
    Cmd: ['sh', '-c', `${KNOWN_CONTROLLERS} && ${dpkg ? `${DPKG} && ` : ''}exec /lib/systemd/systemd`],
    Env: ['container=docker', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
    StopSignal: 'SIGRTMIN+3', // systemd's “halt”
    Volumes: dpkg ? {} : { '/usr/local': {} },
    HostConfig: {
      Binds: [
        '/usr:/usr:ro',
        '/sys/fs/cgroup:/sys/fs/cgroup:rw',
        `${socket}:/host/docker.sock`,
        `${shared}:/shared:ro`,
        ...(dpkg ? ['/var/lib/dpkg:/host/dpkg:ro'] : []),
      ],
      Tmpfs: { '/run': '', '/tmp': '' },
      CapAdd: ['SYS_ADMIN'],
      SecurityOpt: ['seccomp=unconfined', 'apparmor=unconfined'],
      // The machine's cgroups, in which systemd makes its own.
      CgroupnsMode: 'host',
      NetworkMode: 'none',
    },
  };
  const container = await engine.createContainer(options);
  const { sh, must } = shellIn(container);
  const boot = async (): Promise<void> => {
    await container.start();
    await untilBooted(sh);
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

export async function untilBooted(sh: SystemdMachine['sh']): Promise<void> {
  const booted = async () => /running|degraded/.test((await sh('systemctl is-system-running 2>&1')).output);
  await until('systemd has booted', booted, { timeoutMs: BOOT_MS });
}

/** A shell of root in a container. */
export function shellIn(container: Docker.Container): Pick<SystemdMachine, 'sh' | 'must'> {
  const sh = (command: string): Promise<Ran> => exec(container, command);
  const must = async (command: string): Promise<string> => {
    const { code, output } = await sh(command);
    if (code !== 0) throw new Error(`${command} ended with ${code}:\n${output}`);
    return output;
  };
  return { sh, must };
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
    await mkdir(join(root, 'etc/tmpfiles.d'));
    await writeFile(join(root, 'etc/tmpfiles.d/docker.conf'), `L ${DOCKER_SOCKET} - - - - /host/docker.sock\n`);
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
      await importTar(engine, tar, IMAGE);
    } finally {
      await rm(tar, { force: true });
    }
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

export async function importTar(engine: Docker, tar: string, image: string): Promise<void> {
  const progress = await engine.importImage(tar, { repo: image, tag: 'latest' });
  await new Promise<void>((resolve, reject) =>
    engine.modem.followProgress(progress, (error) => (error ? reject(error) : resolve())),
  );
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
