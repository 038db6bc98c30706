/** The Docker that tests talk to: the one that the test command started, or whatever DOCKER_HOST names. */
import Docker, { type ContainerInfo } from 'dockerode';

export const DEFAULT_DOCKER_HOST = 'unix:///var/run/docker.sock';

/** The image that tests run as a sandbox; the test command builds it before the first test. */
export const WORKSPACE_IMAGE = process.env['FAIRLEAD_TEST_IMAGE'] ?? 'fairlead/workspace';

export function dockerHost(): string {
  return process.env['DOCKER_HOST'] ?? DEFAULT_DOCKER_HOST;
}

export function docker(host = dockerHost()): Docker {
  if (host === process.env['DOCKER_HOST']) return new Docker(); // reads it itself, certificates too
  const socket = /^unix:\/\/(.+)$/.exec(host)?.[1];
  if (socket !== undefined) return new Docker({ socketPath: socket });
  const url = new URL(host.replace(/^tcp:/, 'http:'));
  return new Docker({ protocol: 'http', host: url.hostname, port: url.port || '2375' });
}

export interface Container {
  id: string;
  /** `created`, `running`, `exited`, … */
  state: string;
  labels: Record<string, string>;
}

/**
 * All containers, running or not, that have all of these labels (`key` or `key=value`). Leaves out those that Docker 20.10
 * lists as `removing` until its restart and does not find by id: something happened to them during their removal.
 */
export async function listContainers(labels: readonly string[], host = dockerHost()): Promise<ContainerInfo[]> {
  const engine = docker(host);
  const listed = await engine.listContainers({ all: true, filters: { label: [...labels] } });
  const there = await Promise.all(
    listed.map(async ({ Id, State }) => State !== 'removing' || (await isThere(engine, Id))),
  );
  return listed.filter((_, index) => there[index]);
}

async function isThere(engine: Docker, id: string): Promise<boolean> {
  try {
    await engine.getContainer(id).inspect();
    return true;
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return false;
    throw error;
  }
}

/** `User` of a command in a sandbox: as Fairlead runs it, not as the server's user, which is the container's own. */
export async function commandUser(id: string): Promise<string> {
  const { Config } = await docker().getContainer(id).inspect();
  const [, runner] = (Config.Labels['fairlead.users'] ?? '').split(':');
  return runner === undefined ? Config.User : `${runner}:${runner}`;
}

export async function containersOf(...labels: string[]): Promise<Container[]> {
  const found = await listContainers(labels);
  return found.map(({ Id, State, Labels }) => ({ id: Id, state: State, labels: Labels }));
}
