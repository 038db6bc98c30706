/** Decides at the boot where sandboxes run, and asks for the daemon; images are looked at one by one, see catalogue.ts. Main thread. */
import { existsSync } from 'node:fs';
import { servesOthers } from '../shared/config-access.js';
import type { Config } from '../shared/config.js';
import { quote } from '../shared/control-characters.js';
import { DEFAULT_DOCKER_SOCKET, dockerClient, callDocker } from '../shared/docker-client.js';
import { dockerContext } from '../shared/docker-context.js';
import { dockerFault } from '../shared/docker-faults.js';
import { FairleadError } from '../shared/errors.js';

const ANSWER_MS = 3_000;

export type SandboxChoice =
  { driver: 'docker'; describe: string } | { driver: 'process'; describe: string; warning: string };

const PROCESS: SandboxChoice = {
  driver: 'process',
  describe: 'child process in a private folder, NO ISOLATION',
  warning:
    'Sandboxes are plain child processes: what the agent runs can read and change everything that you can, and reach your network. ' +
    'For trying out on your own machine only. Install Docker for containers.',
};

const WITHOUT_DOCKER =
  'To try out on your own machine, for yourself alone, set sandbox.driver to process, without auth.tokens and mcp.publicUrl';

/**
 * Child processes are only for the machine's owner alone, and only where no Docker is: a daemon that is there and fails would be
 * missed. In all other cases Docker, whether it is there now or not. ERR_START where only the `docker` command knows where it is.
 */
export function chooseDriver(config: Config, defaultSocket = DEFAULT_DOCKER_SOCKET): SandboxChoice {
  const { driver } = config.sandbox;
  if (driver === 'process') return PROCESS;
  const wanted = driver === 'docker' || config.dockerHost !== '' || existsSync(defaultSocket);
  const elsewhere = otherContext(config, defaultSocket);
  if (elsewhere !== undefined) throw new FairleadError('ERR_START', elsewhere);
  if (!wanted && whyNotProcess(config) === undefined) return PROCESS;
  return { driver: 'docker', describe: `Docker at ${addressOf(config, defaultSocket)}` };
}

/** The error for a Docker that is not at its default socket, while the `docker` command reaches it through a context. */
export function otherContext({ dockerHost }: Config, defaultSocket = DEFAULT_DOCKER_SOCKET): string | undefined {
  if (dockerHost !== '' || existsSync(defaultSocket)) return undefined;
  const context = dockerContext();
  if (context === undefined || context.host === `unix://${defaultSocket}`) return undefined;
  const { name, host = 'unix://… or tcp://… (`docker context inspect` tells it)' } = context;
  return `there is no Docker at ${defaultSocket}, and the context ${quote(name)} of the docker command is not read here: set DOCKER_HOST=${quote(host)}`;
}

export type DockerAnswer =
  { state: 'usable'; describe: string } | { state: 'away' | 'unfit'; what: string; todo: string };

/** Asks once. Rejects with ERR_START for a DOCKER_HOST that is no address, and with the signal's reason. */
export async function probeDocker(
  config: Config,
  signal?: AbortSignal,
  defaultSocket = DEFAULT_DOCKER_SOCKET,
): Promise<DockerAnswer> {
  const host = addressOf(config, defaultSocket);
  const docker = dockerClient(host, ANSWER_MS);
  let info: DockerInfo;
  try {
    info = await callDocker(
      { operation: 'info', timeoutMs: ANSWER_MS, ...(signal && { signal }) },
      () => docker.info() as Promise<DockerInfo>,
    );
  } catch (error) {
    signal?.throwIfAborted();
    return dockerAway(config, error, defaultSocket);
  }
  const problems = limitProblems(config, info);
  if (problems.length > 0) throw new FairleadError('ERR_START', problems.join('; '));
  return { state: 'usable', describe: describe(config, info) };
}

/** A Docker that did not answer, in words. */
export function dockerAway(
  config: Config,
  error: unknown,
  defaultSocket = DEFAULT_DOCKER_SOCKET,
): Exclude<DockerAnswer, { state: 'usable' }> {
  const { passes, why, todo } = dockerFault(error);
  const others = config.sandbox.driver === 'docker' || config.dockerHost !== '' ? undefined : whyNotProcess(config);
  const because =
    others === undefined ? '' : `: ${others}, and without isolation tools would run as this account for others`;
  return {
    state: passes ? 'away' : 'unfit',
    what: `Docker at ${addressOf(config, defaultSocket)} does not answer (${why})`,
    todo: `${todo}, or correct DOCKER_HOST. Nothing replaces it${because}. ${WITHOUT_DOCKER}`,
  };
}

interface DockerInfo {
  ServerVersion: string;
  NCPU: number;
  Runtimes?: Record<string, unknown>;
  /** `name=seccomp,…` and the like. */
  SecurityOptions?: string[];
}

function addressOf({ dockerHost }: Config, defaultSocket: string): string {
  return dockerHost || `unix://${defaultSocket}`;
}

function whyNotProcess(config: Config): string | undefined {
  return servesOthers(config) ?? (config.auth.mode === 'none' ? 'auth.mode is none' : undefined);
}

function limitProblems({ sandbox }: Config, info: DockerInfo): string[] {
  const problems: string[] = [];
  const runtimes = Object.keys(info.Runtimes ?? {});
  if (sandbox.runtime !== '' && !runtimes.includes(sandbox.runtime)) {
    problems.push(`sandbox.runtime: Docker has no runtime ${sandbox.runtime}; it has ${runtimes.join(', ')}`);
  }
  if (sandbox.cpus > info.NCPU) {
    problems.push(`sandbox.cpus: ${sandbox.cpus} is more than the ${info.NCPU} CPUs that Docker has`);
  }
  if (!(info.SecurityOptions ?? []).some((option) => option.includes('seccomp'))) {
    problems.push(
      'this Docker has no seccomp, which keeps what runs in a sandbox from most of the kernel: use a kernel and a Docker with it',
    );
  }
  return problems;
}

function describe({ sandbox }: Config, info: DockerInfo): string {
  const runtime = sandbox.runtime === '' ? '' : `, runtime ${sandbox.runtime}`;
  return `Docker ${info.ServerVersion}: ${sandbox.memoryMb} MB, ${sandbox.cpus} CPU, no network${runtime} a sandbox`;
}
