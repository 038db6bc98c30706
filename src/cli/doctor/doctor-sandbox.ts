/** The doctor starts one container as a sandbox is started, runs one command in it, and removes it. Command line's process. */
import { randomUUID } from 'node:crypto';
import type Docker from 'dockerode';
import { chooseDriver } from '../../boot/docker-detect.js';
import { quote } from '../../shared/control-characters.js';
import { isImageServer, serversOf } from '../../shared/config-mcp.js';
import type { Config } from '../../shared/config.js';
import { callDocker, dockerClient } from '../../shared/docker-client.js';
import { isFairleadError } from '../../shared/errors.js';
import { messageOf } from '../report.js';
import type { Finding } from './doctor.js';

const CALL_MS = 10_000;
const MIB = 1024 * 1024;

export async function checkSandbox(config: Config, signal: AbortSignal): Promise<Finding[]> {
  let driver: string;
  try {
    ({ driver } = chooseDriver(config));
  } catch (error) {
    if (isFairleadError(error, 'ERR_START')) return []; // the check of Docker says it
    throw error;
  }
  const image = serversOf(config.mcpServers, isImageServer)[0]?.[1].image;
  if (driver === 'process' || image === undefined) return [];
  const docker = dockerClient(config.dockerHost, CALL_MS);
  const ask = <T>(operation: string, call: () => Promise<T>): Promise<T> =>
    callDocker({ operation, timeoutMs: CALL_MS, signal }, call);
  const began = performance.now();
  let container: Docker.Container;
  try {
    container = await ask('create', () => docker.createContainer(optionsFor(config, image)));
  } catch (error) {
    const { statusCode } = error as { statusCode?: number };
    if (statusCode === 404 || statusCode === undefined) return []; // no image or no daemon: the check of Docker says it
    return [failed(`a container of ${image} cannot be made`, error)];
  }
  try {
    await ask('start', () => container.start());
    const startMs = Math.round(performance.now() - began);
    const exit = await runTrue(container, ask);
    if (exit !== undefined) return [exit];
    return [{ status: 'ok', detail: `a container of ${image} starts in ${startMs} ms, and runs a command` }];
  } catch (error) {
    return [failed(`a container of ${image} does not start`, error)];
  } finally {
    // Without the signal: what was made is removed also when the check is late.
    await callDocker({ operation: 'remove', timeoutMs: CALL_MS }, () => container.remove({ force: true })).catch(
      () => undefined,
    );
  }
}

/** Undefined when it runs. Docker's error for a program that the image lacks shows that commands reach the container. */
async function runTrue(
  container: Docker.Container,
  ask: <T>(operation: string, call: () => Promise<T>) => Promise<T>,
): Promise<Finding | undefined> {
  try {
    const exec = await ask('exec', () => container.exec({ Cmd: ['true'], AttachStdout: true }));
    const stream = await ask('exec start', () => exec.start({}));
    stream.destroy();
    return undefined;
  } catch (error) {
    if (/executable file not found|no such file/i.test(messageOf(error))) return undefined;
    const { State } = await ask('inspect', () => container.inspect());
    if (State.Running) return failed('no command runs in a container that does', error);
    const tail = quote((await ask('logs', () => container.logs({ stderr: true, tail: 3 }))).toString('latin1'), 200);
    return {
      status: 'failed',
      detail: `the program of the image ended at once, with ${State.ExitCode}${tail === '' ? '' : `: ${tail}`}`,
      hint: 'docker run -i the image, and look; rebuild it: `fairlead image`',
    };
  }
}

function optionsFor({ sandbox }: Config, image: string): Docker.ContainerCreateOptions {
  const { runtime, memoryMb, cgroupParent } = sandbox;
  return {
    name: `fairlead-doctor-${randomUUID().slice(0, 8)}`,
    Image: image,
    // Its server waits for input, as it does for a lease.
    OpenStdin: true,
    NetworkDisabled: true,
    HostConfig: {
      NetworkMode: 'none',
      Memory: memoryMb * MIB,
      PidsLimit: 128,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      ...(runtime === '' ? {} : { Runtime: runtime }),
      ...(cgroupParent === '' ? {} : { CgroupParent: cgroupParent }),
    },
  };
}

function failed(what: string, error: unknown): Finding {
  return {
    status: 'failed',
    detail: `${what}: ${quote(messageOf(error), 300)}`,
    hint: 'look at `journalctl -u docker`, sandbox.runtime, sandbox.cgroupParent and the disk of Docker',
  };
}
