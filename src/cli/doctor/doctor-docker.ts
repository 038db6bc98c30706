/** The doctor's checks of Docker: the daemon, its runtime, and the images that the configuration names. Command line's process. */
import type Docker from 'dockerode';
import { chooseDriver, dockerAway, otherContext } from '../../boot/docker-detect.js';
import { isImageServer, serversOf } from '../../shared/config-mcp.js';
import type { Config } from '../../shared/config.js';
import {
  DEFAULT_DOCKER_SOCKET,
  LABEL_RUNNER,
  LABEL_VERSION,
  dockerClient,
  howToGetImage,
  callDocker,
} from '../../shared/docker-client.js';
import type { Finding } from './doctor.js';

const CALL_MS = 5_000;

export async function checkDocker(config: Config, signal: AbortSignal): Promise<Finding[]> {
  const { driver, runtime, cpus } = config.sandbox;
  if (driver === 'process') return [noIsolation('the sandbox is a plain process (sandbox.driver)')];
  const elsewhere = otherContext(config);
  if (elsewhere !== undefined) return [{ status: 'failed', detail: elsewhere }];
  const choice = chooseDriver(config);
  if (choice.driver === 'process') {
    const hint = 'a plain process, which isolates nothing, will be the sandbox; start or install Docker (docker.io)';
    return [{ ...noIsolation(`there is no Docker at ${DEFAULT_DOCKER_SOCKET}`), hint }];
  }
  const where = config.dockerHost || DEFAULT_DOCKER_SOCKET;
  const docker = dockerClient(config.dockerHost, CALL_MS);
  const ask = <T>(operation: string, call: () => Promise<T>): Promise<T> =>
    callDocker({ operation, timeoutMs: CALL_MS, signal }, call);
  let info: DaemonInfo;
  try {
    info = (await ask('info', () => docker.info())) as DaemonInfo;
  } catch (error) {
    const { what, todo } = dockerAway(config, error);
    return [{ status: 'failed', detail: what, hint: todo }];
  }
  const findings: Finding[] = [{ status: 'ok', detail: `Docker ${info.ServerVersion ?? '?'} at ${where}` }];
  if (runtime !== '' && info.Runtimes?.[runtime] === undefined) {
    const hint = `install it and name it in daemon.json, or clear sandbox.runtime`;
    findings.push({ status: 'failed', detail: `Docker knows no runtime ${runtime}`, hint });
  }
  if (info.NCPU !== undefined && cpus > info.NCPU) {
    const detail = `sandbox.cpus is ${cpus}, and Docker has ${info.NCPU}`;
    findings.push({ status: 'failed', detail, hint: `set it to ${info.NCPU} or less` });
  }
  findings.push(...lacks(config, info));
  const used = [
    ...serversOf(config.mcpServers, isImageServer).map(([, server]) => server),
    ...Object.values(config.images),
  ];
  const images = [...new Set(used.map(({ image }) => image))];
  return [...findings, ...(await Promise.all(images.map((image) => checkImage(docker, image, ask))))];
}

/** Where the Docker of this machine keeps images and containers; undefined where there is none, or it does not say. */
export async function dockerRoot(config: Config, signal: AbortSignal): Promise<string | undefined> {
  const address = config.dockerHost || `unix://${DEFAULT_DOCKER_SOCKET}`;
  if (config.sandbox.driver === 'process' || !address.startsWith('unix:')) return undefined;
  const docker = dockerClient(config.dockerHost, CALL_MS);
  const asking = callDocker({ operation: 'info', timeoutMs: CALL_MS, signal }, () => docker.info());
  return asking.then(
    (info) => (info as DaemonInfo).DockerRootDir,
    () => undefined, // the check of Docker says why
  );
}

/** What of `docker info` is judged. */
export interface DaemonInfo {
  DockerRootDir?: string;
  ServerVersion?: string;
  NCPU?: number;
  Runtimes?: Record<string, unknown>;
  LiveRestoreEnabled?: boolean;
  LoggingDriver?: string;
  CgroupVersion?: string;
  CgroupDriver?: string;
  Driver?: string;
  SecurityOptions?: string[];
}

/** What a daemon works without, and what that costs. */
export function lacks({ sandbox }: Pick<Config, 'sandbox'>, info: DaemonInfo): Finding[] {
  const findings: Finding[] = [];
  const warn = (detail: string, hint: string): void => void findings.push({ status: 'warning', detail, hint });
  if (info.LiveRestoreEnabled === false) {
    const hint =
      'put "live-restore": true into /etc/docker/daemon.json and reload Docker: else each of its upgrades ends all sandboxes';
    warn('live-restore is off', hint);
  }
  if (info.LoggingDriver === 'json-file') {
    const hint =
      'put "log-driver": "local" into daemon.json, which has a limit: json-file has none, and other containers may fill the disk';
    warn('the log driver is json-file', hint);
  }
  if (info.CgroupVersion === '1') {
    const hint =
      'boot with systemd.unified_cgroup_hierarchy=1, or a newer release: with v1 a sandbox out of memory is noticed late';
    warn('cgroup v1', hint);
  }
  if (sandbox.cgroupParent.endsWith('.slice') && info.CgroupDriver === 'cgroupfs') {
    const detail = `sandbox.cgroupParent is ${sandbox.cgroupParent}, and Docker’s cgroup driver is cgroupfs`;
    const hint = 'put "exec-opts": ["native.cgroupdriver=systemd"] into daemon.json, or clear sandbox.cgroupParent';
    findings.push({ status: 'failed', detail, hint });
  }
  if (info.Driver === 'vfs' || info.Driver === 'devicemapper') {
    const hint =
      'use overlay2 (the data folder of Docker on ext4 or xfs with ftype=1): each sandbox is a whole copy of its image now';
    warn(`the storage driver is ${info.Driver}`, hint);
  }
  const options = info.SecurityOptions ?? [];
  if (options.length > 0 && !options.some((option) => /name=(userns|rootless)/.test(option))) {
    // No warning: sandboxes run as users of their own without it, and it needs the images to be pulled again.
    findings.push({
      status: 'ok',
      detail: 'without userns-remap: root in a container would be root on the host (sandboxes run as nobody’s ids)',
    });
  }
  return findings;
}

async function checkImage(
  docker: Docker,
  image: string,
  ask: <T>(operation: string, call: () => Promise<T>) => Promise<T>,
): Promise<Finding> {
  let labels: Record<string, string> | null = null;
  const looking = ask('image', () => docker.getImage(image).inspect()).then(({ Config }) => (labels = Config.Labels));
  if (!(await exists(looking))) {
    return { status: 'failed', detail: `image ${image} is not there`, hint: howToGetImage(image) };
  }
  if (labels?.[LABEL_VERSION] !== undefined && !labels[LABEL_RUNNER]) {
    const detail = `image ${image} is an old one: its commands run as its server's own user`;
    return {
      status: 'warning',
      detail,
      hint: 'rebuild the image: `fairlead image` (in a checkout `npm run image`), and then what is made from it',
    };
  }
  return { status: 'ok', detail: `image ${image}` };
}

async function exists(inspecting: Promise<unknown>): Promise<boolean> {
  try {
    await inspecting;
    return true;
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return false;
    throw error;
  }
}

function noIsolation(detail: string): Finding {
  return { status: 'warning', detail, hint: 'it isolates nothing: for trying out on your own machine only' };
}
