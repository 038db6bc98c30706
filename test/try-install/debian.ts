/** An empty Debian 12 in a container: its own systemd, and rights enough for a Docker inside. */
import { existsSync } from 'node:fs';
import { cp, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { run } from '../../release/run.js';
import { docker } from '../helpers/docker.js';
import { importTar, KNOWN_CONTROLLERS, shellIn, untilBooted, type SystemdMachine } from '../helpers/systemd-machine.js';

const IMAGE = 'fairlead-try-debian';
const SOURCES = '/etc/apt/sources.list.d/debian.sources';
/** Debian's files are fetched once. */
const CACHE = join(tmpdir(), 'fairlead-debian-12.tar');
/** What each Debian that was installed from a disk or a cloud's image has, and minbase has not. */
const WITH = 'systemd-sysv,dbus,sudo,iproute2';

export interface Debian extends Pick<SystemdMachine, 'sh' | 'must'> {
  /** Of its first process. */
  pid: number;
  stop(): Promise<void>;
}

export async function bootDebian(host: string, log: (line: string) => void): Promise<Debian> {
  if (!existsSync(CACHE)) {
    log('debootstrap, once');
    await makeRoot();
  }
  const engine = docker(host);
  await importTar(engine, CACHE, IMAGE);
  const options: Docker.ContainerCreateOptions & {
    HostConfig: { CgroupnsMode: string; MaskedPaths: string[]; ReadonlyPaths: string[] };
  } = {
    Image: IMAGE,
    Cmd: ['sh', '-c', `${KNOWN_CONTROLLERS} && exec /lib/systemd/systemd`],
    Env: ['container=docker', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
    StopSignal: 'SIGRTMIN+3',
    // Docker's layers cannot lie on the layers of another Docker.
    Volumes: { '/var/lib/docker': {} },
    HostConfig: {
      // What a Docker inside needs, and not all that there is: this machine may be a container, too, which has not all of them.
      CapAdd: ['SYS_ADMIN', 'NET_ADMIN', 'SYS_PTRACE'],
      SecurityOpt: ['seccomp=unconfined', 'apparmor=unconfined'],
      DeviceCgroupRules: ['a *:* rwm'],
      MaskedPaths: [],
      ReadonlyPaths: [],
      Binds: ['/sys/fs/cgroup:/sys/fs/cgroup:rw'],
      Tmpfs: { '/run': '', '/tmp': '' },
      CgroupnsMode: 'host',
      NetworkMode: 'none',
    },
  };
  const container = await engine.createContainer(options);
  const stop = async (): Promise<void> => container.remove({ force: true, v: true });
  const shell = shellIn(container);
  try {
    await container.start();
    await untilBooted(shell.sh);
    const { State } = await container.inspect();
    return { ...shell, pid: State.Pid, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function makeRoot(): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'fl-debian-'));
  try {
    await run('debootstrap', [
      '--variant=minbase',
      `--include=${WITH}`,
      'bookworm',
      root,
      'http://deb.debian.org/debian',
    ]);
    if (existsSync(SOURCES)) {
      await rm(join(root, 'etc/apt/sources.list'), { force: true });
      await cp(SOURCES, join(root, SOURCES));
    }
    await run('tar', ['-cf', `${CACHE}.new`, '-C', root, '.']);
    await rename(`${CACHE}.new`, CACHE);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}
