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
  let info: { ServerVersion?: string; NCPU?: number; Runtimes?: Record<string, unknown> };
  try {
    info = (await ask('info', () => docker.info())) as typeof info;
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
  const images = [...new Set(serversOf(config.mcpServers, isImageServer).map(([, { image }]) => image))];
  return [...findings, ...(await Promise.all(images.map((image) => checkImage(docker, image, ask))))];
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
    return { status: 'warning', detail, hint: 'rebuild the image: `npm run image`, and then what is made from it' };
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
