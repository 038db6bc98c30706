/** The create options of a sandbox's container, always hardened: a pure function. Docker thread. */
import type { ContainerCreateOptions } from 'dockerode';
import { createHash } from 'node:crypto';
import type { Config } from '../../../src/shared/config.js';
import { LABEL_RUNNER } from '../../../src/shared/docker-client.js';
import { FILES_PER_MB, volumesMb } from '../../../src/shared/sandbox-memory.js';
import type { Environment, StartRequest } from './driver.js';
import { MASKED_PATHS, READONLY_PATHS } from './masked-paths.js';
import { labelOf, LABEL_USERS, type UserPair } from './sandbox-users.js';
import { SECCOMP_PROFILE } from './seccomp-profile.js';

export const LABEL_INSTANCE = 'fairlead.instance';
export const LABEL_SERVER = 'fairlead.server';
/** `pids` of an image that has limits of its own. */
export const LABEL_PIDS = 'fairlead.pids';
/** Hash of the options, see `optionsOf`. */
export const LABEL_OPTIONS = 'fairlead.options';

/** Where the server of an image with a runner has its socket, and names the users. */
const RUN_FOLDER = '/run/fairlead';
const MIB = 1_048_576;
const OPEN_FILES = 4_096;
/** When the host is out of memory, the kernel kills a sandbox before the server, Docker or the store. */
const OOM_SCORE = 500;
/** A quarter of what others have beside it, a tenth in cgroup v2's weights: the server, Docker and Redis come first. `NanoCpus` limits it anyway. */
const CPU_SHARES = 256;

export type MadeFrom = Pick<StartRequest, 'image' | 'imageId' | 'env' | 'limits'> & {
  /** Cleaned paths that the image declares as VOLUME. */
  volumes: readonly string[];
};

/** What differs between containers of the same image and configuration. */
export interface Individual {
  users: UserPair;
  /** Set for images with a runner: what the server's environment has besides, see runner.ts. */
  serverEnv?: Environment | undefined;
}

export function containerOptions(
  request: StartRequest & MadeFrom,
  instance: string,
  sandbox: Config['sandbox'],
  individual: Individual,
): ContainerCreateOptions {
  const { name, server } = request;
  const labels = {
    [LABEL_INSTANCE]: instance,
    [LABEL_SERVER]: server,
    [LABEL_OPTIONS]: optionsOf(request, sandbox),
    [LABEL_USERS]: labelOf(individual.users),
    ...(request.limits && { [LABEL_PIDS]: String(request.limits.pids) }),
    ...(!individual.serverEnv && { [LABEL_RUNNER]: '' }), // in place of the image's, which starts another server
  };
  return { name, Labels: labels, ...optionsFrom(request, sandbox, individual) };
}

/** 16 hex digits over all options and the image id: equal hashes mean equal sandboxes, but for what is individual. */
export function optionsOf(from: MadeFrom, sandbox: Config['sandbox']): string {
  const { from: first, count } = sandbox.uids;
  return createHash('sha256')
    .update(JSON.stringify(optionsFrom(from, sandbox, { users: { server: first, runner: count } })))
    .digest('hex')
    .slice(0, 16);
}

/** Bounds the files too: an empty one has no size, and costs memory all the same. */
function sizeOf(mb: number): string {
  return `size=${mb}m,nr_inodes=${mb * FILES_PER_MB}`;
}

/** With a runner, its user owns all that can be written, and the server a folder for the socket between them. */
function optionsFrom(
  { image, imageId = image, env, volumes, limits }: MadeFrom,
  common: Config['sandbox'],
  { users, serverEnv }: Individual,
): ContainerCreateOptions {
  const sandbox = { ...common, ...limits };
  const memory = Math.round((sandbox.memoryMb + volumesMb(volumes.length, sandbox)) * MIB);
  const own = `uid=${users.runner},gid=${users.runner}`;
  const main = serverEnv ? users.server : users.runner;
  return {
    Image: imageId,
    User: `${main}:${main}`,
    ...(serverEnv && { WorkingDir: '/' }), // it may not enter /workspace
    Env: Object.entries({ ...env, ...serverEnv }).map(([key, value]) => `${key}=${value}`),
    Hostname: 'sandbox',
    // An image's own would be a program that the daemon starts in each of its sandboxes, again and again.
    Healthcheck: { Test: ['NONE'] },
    Tty: false,
    OpenStdin: true,
    // Its stdin outlives our stream, so that the next run can adopt the sandbox of a killed server, see adoption.ts.
    StdinOnce: false,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    HostConfig: {
      NetworkMode: 'none',
      ReadonlyRootfs: true,
      Tmpfs: {
        // First, so that a folder which has its own size keeps it.
        ...Object.fromEntries(
          volumes.map((path) => [path, `rw,noexec,nosuid,nodev,${sizeOf(sandbox.tmpMb)},mode=0700,${own}`]),
        ),
        // `exec` is not Docker's default: users write programs there and run them.
        '/workspace': `rw,exec,nosuid,nodev,${sizeOf(sandbox.workspaceMb)},mode=0700,${own}`,
        '/tmp': `rw,noexec,nosuid,nodev,${sizeOf(sandbox.tmpMb)},mode=0700,${own}`,
        // In place of Docker's own, which has no limit on files: 60,000 empty ones take as much memory as the whole folder.
        '/dev/shm': `rw,noexec,nosuid,nodev,${sizeOf(sandbox.shmMb)},mode=1777`,
        ...(serverEnv && {
          [RUN_FOLDER]: `rw,noexec,nosuid,nodev,size=1m,nr_inodes=64,mode=0755,uid=${users.server},gid=${users.server}`,
        }),
      },
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges', `seccomp=${SECCOMP_PROFILE}`],
      MaskedPaths: MASKED_PATHS,
      ReadonlyPaths: READONLY_PATHS,
      // Else the host's nameservers and search domains stand in /etc/resolv.conf.
      Dns: ['127.0.0.1'],
      DnsSearch: ['.'],
      PidsLimit: sandbox.pids,
      Memory: memory,
      MemorySwap: memory, // equal to Memory: no swap
      NanoCpus: Math.round(sandbox.cpus * 1e9),
      CpuShares: CPU_SHARES,
      Init: true,
      LogConfig: { Type: 'none', Config: {} },
      OomScoreAdj: OOM_SCORE,
      Ulimits: [
        { Name: 'nofile', Soft: OPEN_FILES, Hard: OPEN_FILES },
        // No cores: the host's core_pattern decides where one goes, perhaps to a program on the host that keeps it.
        { Name: 'core', Soft: 0, Hard: 0 },
      ],
      IpcMode: 'private',
      Privileged: false,
      // We remove it ourselves, to know when it is gone; a removal by the daemon would race with that.
      AutoRemove: false,
      RestartPolicy: { Name: 'no' },
      ...(sandbox.cgroupParent && { CgroupParent: sandbox.cgroupParent }),
      ...(sandbox.runtime && { Runtime: sandbox.runtime }),
    },
  };
}
