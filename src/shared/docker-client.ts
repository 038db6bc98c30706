/** Makes a dockerode client for an address, and gives each of its calls a deadline. Main thread (boot), docker thread and CLI. */
import Docker from 'dockerode';
import { withDeadline } from './abort.js';
import { DOCKER_HOST_PROBLEM, parseDockerHost } from './docker-host.js';
import { FairleadError } from './errors.js';

export const DEFAULT_DOCKER_SOCKET = '/var/run/docker.sock';
export const WORKSPACE_IMAGE = 'fairlead/workspace';
/** The user of the workspace image where somebody starts it by hand; Fairlead gives each container its own (`sandbox.uids`). */
export const SANDBOX_UID = 10_001;

/** On an image: the version of Fairlead that has built it, or the image it was made from. */
export const LABEL_VERSION = 'fairlead.version';
/** On an image: how its server and its runner start; see workers/docker/driver/runner.ts. '' on a container: it has no runner. */
export const LABEL_RUNNER = 'fairlead.runner';

/** `fairlead/workspace`, with or without a tag or digest. */
export function isWorkspaceImage(image: string): boolean {
  return image.replace(/[:@].*$/, '') === WORKSPACE_IMAGE;
}

/** What to do when an image is missing. */
export function howToGetImage(image: string): string {
  return isWorkspaceImage(image)
    ? 'run `fairlead image` (in a checkout `npm run image`)'
    : `run \`docker pull ${image}\``;
}

/**
 * `dockerHost` as in DOCKER_HOST: unix://PATH, tcp://HOST:PORT, or empty for the default socket. Every field is set, since
 * dockerode takes missing ones from the environment. For TLS it reads DOCKER_CERT_PATH there. `idleTimeoutMs` cuts a call
 * without traffic, so it must not be set for a client that attaches. ERR_START.
 */
export function dockerClient(dockerHost: string, idleTimeoutMs?: number): Docker {
  const address = parseDockerHost(dockerHost);
  if (!address) throw new FairleadError('ERR_START', `DOCKER_HOST ${dockerHost}: ${DOCKER_HOST_PROBLEM}`);
  if ('socketPath' in address) {
    return new Docker({
      socketPath: address.socketPath || DEFAULT_DOCKER_SOCKET,
      host: undefined,
      port: undefined,
      timeout: idleTimeoutMs,
    });
  }
  const { url } = address;
  const tls = url.protocol === 'https:' || url.port === '2376' || process.env['DOCKER_TLS_VERIFY'] === '1';
  return new Docker({
    socketPath: undefined,
    host: url.hostname,
    port: url.port || (tls ? '2376' : '2375'),
    protocol: tls ? 'https' : 'http',
    timeout: idleTimeoutMs,
  });
}

/** The daemon did not answer in time. A class of its own, since such a call is not retried and counts for the circuit breaker. */
export class DockerTimeout extends FairleadError {
  constructor(operation: string, ms: number) {
    super('ERR_UNAVAILABLE', `Docker did not answer ${operation} within ${ms} ms`, { retryAfterMs: 5_000 });
    this.name = 'DockerTimeout';
  }
}

export interface DockerCallOptions {
  operation: string;
  timeoutMs: number;
  /** Its reason is thrown when it aborts. */
  signal?: AbortSignal;
}

/** Runs `call` with a signal that aborts at the deadline: DockerTimeout. */
export function callDocker<T>(
  { operation, timeoutMs, signal }: DockerCallOptions,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return withDeadline({ timeoutMs, signal, late: () => new DockerTimeout(operation, timeoutMs) }, call);
}
