/** The address in DOCKER_HOST, checked as part of the configuration and read by the client. Pure; every thread. */

/** `unix://PATH` without its path is the default socket. */
export type DockerAddress = { socketPath: string } | { url: URL };

/** Undefined for what is no address of a daemon, such as ssh://. */
export function parseDockerHost(dockerHost: string): DockerAddress | undefined {
  const unix = /^unix:\/\/(.*)$/.exec(dockerHost);
  if (dockerHost === '' || unix) return { socketPath: unix?.[1] ?? '' };
  const url = URL.canParse(dockerHost) ? new URL(dockerHost) : undefined;
  if (!url || !['tcp:', 'http:', 'https:'].includes(url.protocol) || url.hostname === '') return undefined;
  return { url };
}

export const DOCKER_HOST_PROBLEM = 'must be unix://PATH or tcp://HOST:PORT';
