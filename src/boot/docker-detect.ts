/** Decides at the boot where sandboxes run, and checks the daemon; images are looked at one by one, see catalogue.ts. Main thread. */
import { existsSync } from 'node:fs';
import { servesOthers } from '../shared/config-access.js';
import type { Config } from '../shared/config.js';
import { DEFAULT_DOCKER_SOCKET, dockerClient, callDocker } from '../shared/docker-client.js';
import { FairleadError, isFairleadError } from '../shared/errors.js';

const ANSWER_MS = 3_000;

export type SandboxChoice =
  { driver: 'docker'; version: string; describe: string } | { driver: 'process'; describe: string; warning: string };

const PROCESS: SandboxChoice = {
  driver: 'process',
  describe: 'child process in a private folder, NO ISOLATION',
  warning:
    'Sandboxes are plain child processes: what the agent runs can read and change everything that you can, and reach your network. ' +
    'For trying out on your own machine only. Install Docker for containers.',
};

const HOW_TO_GO_ON =
  'Start Docker; or, on your own machine and for yourself alone, set sandbox.driver to process, without auth.tokens and mcp.publicUrl';

/** ERR_START when Docker is there or configured and does not answer, or lacks what the configuration names. */
export async function detectSandbox(config: Config, defaultSocket = DEFAULT_DOCKER_SOCKET): Promise<SandboxChoice> {
  if (config.sandbox.driver === 'process') return PROCESS;
  const wanted = config.sandbox.driver === 'docker' || config.dockerHost !== '';
  const host = config.dockerHost || `unix://${defaultSocket}`;
  if (!wanted && !existsSync(defaultSocket)) return fallBack(config);
  const docker = dockerClient(host, ANSWER_MS);
  let info: DockerInfo;
  try {
    info = await ask('info', () => docker.info() as Promise<DockerInfo>);
  } catch (error) {
    throw new FairleadError(
      'ERR_START',
      `Docker at ${host} does not answer (${reasonOf(error)}), and nothing replaces it: correct DOCKER_HOST, or let this account use it. ${HOW_TO_GO_ON}`,
      { cause: error },
    );
  }
  const problems = limitProblems(config, info);
  if (problems.length > 0) throw new FairleadError('ERR_START', problems.join('; '));
  return { driver: 'docker', version: info.ServerVersion, describe: describe(config, info) };
}

interface DockerInfo {
  ServerVersion: string;
  NCPU: number;
  Runtimes?: Record<string, unknown>;
  /** `name=seccomp,…` and the like. */
  SecurityOptions?: string[];
}

function ask<T>(operation: string, call: () => Promise<T>): Promise<T> {
  return callDocker({ operation, timeoutMs: ANSWER_MS }, call);
}

/** Only for the machine's owner alone, and only where no Docker is: a daemon that is there and fails would be missed. */
function fallBack(config: Config): SandboxChoice {
  const others = servesOthers(config) ?? (config.auth.mode === 'none' ? 'auth.mode is none' : undefined);
  if (others === undefined) return PROCESS;
  throw new FairleadError(
    'ERR_START',
    `there is no Docker (no ${DEFAULT_DOCKER_SOCKET}), and ${others}: without isolation tools would run as this account for others. ` +
      HOW_TO_GO_ON,
  );
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

function reasonOf(error: unknown): string {
  if (isFairleadError(error)) return error.message;
  return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
}
