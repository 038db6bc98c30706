/** Runs sandboxes as Docker containers: creates, attaches and starts them, and removes what a failed start made. Docker thread. */
import type Docker from 'dockerode';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { onAbort } from '../../../src/shared/abort.js';
import type { Config } from '../../../src/shared/config.js';
import { dockerClient } from '../../../src/shared/docker-client.js';
import { FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { followContainers, nameGiven } from './container-events.js';
import { containerOptions, LABEL_INSTANCE, LABEL_OPTIONS, optionsOf, type MadeFrom } from './container-options.js';
import { demux, type Demuxed } from './demux.js';
import { endOf, execError, startError, mayHaveCreated, statusOf, dockerUnavailable } from './docker-errors.js';
import { DockerSandbox } from './docker-sandbox.js';
import type {
  Adopting,
  Environment,
  FoundSandbox,
  RunningSandbox,
  SandboxDriver,
  SandboxExit,
  SandboxProgram,
  SandboxWatcher,
  StartRequest,
} from './driver.js';
import { ImageVolumes } from './image-volumes.js';
import { openContainerStream } from './container-stream.js';
import { OutputThrottle } from './output-throttle.js';
import { type BreakerState } from '../contract/messages.js';
import { BREAK_MS, Operations, type OperationName } from './operations.js';

const LOOK_TIMEOUT_MS = 10_000;
const REMOVE_TIMEOUT_MS = 20_000;
/** Docker notices the death of a container a moment after its streams have ended. */
const DEATH_LOOKS = 10;
const DEATH_LOOK_MS = 100;
/** How long after the breaker's half-open moment we probe, so that a caller may come first. */
const PROBE_LATER_MS = 500;

type NextStep = (operation: OperationName) => { operation: OperationName; timeoutMs: number };

export class DockerDriver implements SandboxDriver {
  readonly maxWarm = Infinity;
  readonly adopting: Adopting = {
    find: () => this.#find(),
    optionsOf: (from) =>
      optionsOf({ ...from, volumes: this.#volumes.of(from.imageId ?? from.image) ?? [] }, this.#config.sandbox),
  };
  readonly #docker: Docker;
  readonly #config: Config;
  readonly #instance: string;
  readonly #log: Logger;
  readonly #operations: Operations;
  readonly #volumes = new ImageVolumes();
  readonly #throttle = new OutputThrottle();
  readonly #closing = new AbortController();
  #watcher: SandboxWatcher | undefined;
  /** Armed while the breaker is open. */
  #probe: NodeJS.Timeout | undefined;
  /** Clean-ups of failed starts. Only `close` waits for them. */
  readonly #cleaning = new Set<Promise<void>>();

  constructor(config: Config, instance: string, log: Logger, onBreaker?: (state: BreakerState) => void) {
    this.#docker = dockerClient(config.dockerHost);
    this.#config = config;
    this.#instance = instance;
    this.#log = log;
    this.#operations = new Operations(log, (state) => {
      onBreaker?.(state);
      this.#probeWhenOpen(state);
      if (state === 'closed') this.#watcher?.onBack();
    });
  }

  async start(request: StartRequest): Promise<RunningSandbox> {
    const { name, server, image, signal } = request;
    const step = this.#steps();
    let created = false;
    try {
      signal.throwIfAborted();
      // The caller's signal does not cut this call: Docker would go on creating, and a removal now would come too early.
      const volumes = await this.#volumesOf(request, step('inspect'));
      const id = await this.#create({ ...request, volumes }, step('create'));
      created = true;
      return await this.#run(id, name, step, signal);
    } catch (error) {
      // A create that was not answered may still succeed after this removal: then the next reconcile removes it.
      if (created || mayHaveCreated(error)) this.#cleanUp(name);
      signal.throwIfAborted();
      throw startError(error, server, image, this.#config);
    }
  }

  async resolveImage(image: string, server: string): Promise<string> {
    try {
      const found = await this.#inspect(() => this.#docker.getImage(image).inspect());
      this.#volumes.note(found, image);
      return found.Id;
    } catch (error) {
      throw startError(error, server, image, this.#config);
    }
  }

  async removeUnknown(isKnown: (name: string) => boolean, onRemoved?: (name: string) => void): Promise<number> {
    const found = await this.#list();
    // Checked after the listing, since a sandbox is known before it is created.
    const unknown = found.filter(({ Names }) => !Names.some((name) => isKnown(nameGiven(name))));
    const results = await Promise.allSettled(
      unknown.map(async ({ Id, Names }) => {
        await this.#remove(Id);
        for (const name of Names) onRemoved?.(nameGiven(name));
      }),
    );
    for (const result of results) {
      if (result.status === 'rejected')
        this.#log.warn({ err: result.reason }, 'an unknown container could not be removed now');
    }
    return results.filter(({ status }) => status === 'fulfilled').length;
  }

  async #list(): Promise<Docker.ContainerInfo[]> {
    try {
      return await this.#operations.remove({ operation: 'list', timeoutMs: LOOK_TIMEOUT_MS }, ({ signal }) =>
        this.#docker.listContainers({
          all: true,
          filters: { label: [`${LABEL_INSTANCE}=${this.#instance}`] },
          abortSignal: signal,
        }),
      );
    } catch (error) {
      throw dockerUnavailable('Docker did not list the containers of this instance', error);
    }
  }

  async #find(): Promise<FoundSandbox[]> {
    const containers = await this.#list();
    return containers.map(({ Id: id, Names, State, Labels }) => {
      const name = nameGiven(Names[0] ?? '');
      return {
        id,
        name,
        named: Names.some((given) => given.replace(/^\//, '') !== name),
        runs: State === 'running' || State === 'paused',
        options: Labels[LABEL_OPTIONS] ?? '',
        attach: (signal, startedAt) => this.#attachAgain(id, name, signal, startedAt),
        destroy: () => this.#remove(id),
      };
    });
  }

  watch(watcher: SandboxWatcher): void {
    this.#watcher = watcher;
    const options = { docker: this.#docker, instance: this.#instance, watcher, log: this.#log };
    void followContainers(options, this.#closing.signal);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#probe);
    await Promise.all(this.#cleaning);
  }

  /** The breaker closes only when a call succeeds, and while /readyz reports Docker as away perhaps nobody makes one. */
  #probeWhenOpen(state: BreakerState): void {
    clearTimeout(this.#probe);
    if (state !== 'open' || this.#closing.signal.aborted) return;
    this.#probe = setTimeout(() => {
      this.#inspect(() => this.#docker.ping()).catch((error: unknown) => {
        this.#log.debug({ err: error }, 'docker: the probe failed');
      });
    }, BREAK_MS + PROBE_LATER_MS);
    this.#probe.unref(); // must not keep the process alive
  }

  /** A container must not be created before they are known: each that is not covered is a folder on the host's disk. */
  async #volumesOf(
    { imageId, image, signal }: StartRequest,
    options: Parameters<Operations['run']>[0],
  ): Promise<readonly string[]> {
    const known = this.#volumes.of(imageId ?? '');
    if (known) return known;
    const found = await this.#operations.run({ ...options, signal }, () =>
      this.#docker.getImage(imageId ?? image).inspect(),
    );
    return this.#volumes.note(found, image);
  }

  /** The name is random: if a retry finds it taken, the first try created the container and only its answer was lost. */
  #create(request: StartRequest & MadeFrom, options: Parameters<Operations['run']>[0]): Promise<string> {
    return this.#operations.run(options, async ({ attempt, signal }) => {
      const description = containerOptions(request, this.#instance, this.#config.sandbox);
      try {
        return (await this.#docker.createContainer({ ...description, abortSignal: signal })).id;
      } catch (error) {
        if (attempt === 0 || statusOf(error) !== 409) throw error;
        return (await this.#docker.getContainer(request.name).inspect({ abortSignal: signal })).Id;
      }
    });
  }

  /** By name or id. A missing container counts as removed. */
  async #remove(container: string): Promise<void> {
    try {
      await this.#operations.remove({ timeoutMs: REMOVE_TIMEOUT_MS }, async ({ signal }) => {
        await unless(404, this.#docker.getContainer(container).remove({ force: true, v: true, abortSignal: signal }));
      });
    } catch (error) {
      throw dockerUnavailable(`the container ${container} could not be removed now`, error);
    }
  }

  /** Attaches before the start, so that no output is missed. */
  async #run(id: string, name: string, step: NextStep, signal: AbortSignal): Promise<DockerSandbox> {
    const socket = await this.#attach(id, step, signal);
    const streams = demux(socket, this.#throttle);
    try {
      await this.#operations.run({ ...step('start'), signal }, async (attempt) => {
        await unless(304, this.#docker.getContainer(id).start({ abortSignal: attempt.signal })); // started by an earlier try
      });
    } catch (error) {
      socket.destroy();
      throw error;
    }
    return this.#sandbox(id, name, socket, streams, this.#startedAt(id));
  }

  /** When its container started, as Docker says it: a container that was restarted has lost all that its tmpfs held. */
  async #startedAt(id: string): Promise<string | undefined> {
    try {
      const { State } = await this.#inspect((abortSignal) => this.#docker.getContainer(id).inspect({ abortSignal }));
      return State.StartedAt;
    } catch (error) {
      this.#log.debug({ err: error, container: id }, 'when a container started is unknown');
      return undefined;
    }
  }

  /** Docker attaches to a stopped container as well, without an error, so its state is inspected afterwards, too. */
  async #attachAgain(id: string, name: string, signal: AbortSignal, startedAt?: string): Promise<DockerSandbox> {
    const step = this.#steps();
    const state = async (): Promise<Docker.ContainerInspectInfo['State']> => {
      const { State } = await this.#operations.run({ ...step('inspect'), signal }, (attempt) =>
        this.#docker.getContainer(id).inspect({ abortSignal: attempt.signal }),
      );
      const end = endOf(State, startedAt, this.#config);
      if (end !== undefined) throw new FairleadError('ERR_SANDBOX', end);
      return State;
    };
    let socket: Duplex | undefined;
    try {
      if ((await state()).Paused) {
        await this.#operations.run({ ...step('start'), signal }, async () => {
          await unless(409, this.#docker.getContainer(id).unpause()); // unpaused by somebody else
        });
      }
      socket = await this.#attach(id, step, signal);
      const streams = demux(socket, this.#throttle);
      const { StartedAt } = await state();
      return this.#sandbox(id, name, socket, streams, Promise.resolve(StartedAt));
    } catch (error) {
      socket?.destroy();
      signal.throwIfAborted();
      throw execError(error, ['attach']);
    }
  }

  #attach(id: string, step: NextStep, signal: AbortSignal): Promise<Duplex> {
    const options = { stream: true, stdin: true, stdout: true, stderr: true, hijack: true };
    return this.#operations.run({ ...step('attach'), signal }, (attempt) =>
      openContainerStream(attempt.signal, (abortSignal) =>
        this.#docker.getContainer(id).attach({ ...options, abortSignal }),
      ),
    );
  }

  #sandbox(
    id: string,
    name: string,
    socket: Duplex,
    streams: Demuxed,
    startedAt: Promise<string | undefined>,
  ): DockerSandbox {
    return new DockerSandbox(id, socket, streams, {
      startedAt,
      inspectExit: async (lost) => this.#inspectExit(id, lost, await startedAt),
      exec: (command, execSignal, env) => this.#exec(id, command, execSignal, env),
      attachAgain: async (attachSignal) => this.#attachAgain(id, name, attachSignal, await startedAt),
      restart: (restartSignal) => this.#restart(id, name, restartSignal),
      rename: (session) => this.#rename(id, session ? `${name}.${session}` : name),
      remove: () => this.#remove(id),
    });
  }

  /** A restart empties its writable places: they are tmpfs. */
  async #restart(id: string, name: string, signal: AbortSignal): Promise<DockerSandbox> {
    const step = this.#steps();
    try {
      await this.#operations.run({ ...step('stop'), signal }, async (attempt) => {
        await unless(304, this.#docker.getContainer(id).stop({ t: 0, abortSignal: attempt.signal })); // stopped already
      });
      return await this.#run(id, name, step, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw dockerUnavailable('the container could not be restarted', error);
    }
  }

  async #rename(id: string, name: string): Promise<void> {
    await this.#operations.run({ operation: 'rename', timeoutMs: LOOK_TIMEOUT_MS }, async ({ signal }) => {
      await unless(400, this.#docker.getContainer(id).rename({ name, abortSignal: signal })); // named so already
    });
  }

  /** Options for steps that share one deadline, counted from now. */
  #steps(): NextStep {
    const deadline = performance.now() + this.#config.sandbox.startTimeoutMs;
    return (operation) => ({ operation, timeoutMs: Math.max(1, Math.ceil(deadline - performance.now())) });
  }

  async #exec(
    id: string,
    command: readonly string[],
    signal: AbortSignal,
    env: Environment = {},
  ): Promise<SandboxProgram> {
    try {
      return await this.#operations.run({ operation: 'exec', timeoutMs: LOOK_TIMEOUT_MS, signal }, async (attempt) => {
        const exec = await this.#docker.getContainer(id).exec({
          Cmd: [...command],
          Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
          AttachStdin: true,
          AttachStdout: true,
          AttachStderr: true,
          abortSignal: attempt.signal,
        });
        const socket = await openContainerStream(attempt.signal, (abortSignal) =>
          exec.start({ hijack: true, stdin: true, abortSignal }),
        );
        const stop = onAbort(signal, () => socket.destroy());
        const { stdout, stderr, ended } = demux(socket);
        const exited = ended.then(() => {
          stop();
          return this.#execExit(exec);
        });
        return { stdin: socket, stdout, stderr, exited };
      });
    } catch (error) {
      signal.throwIfAborted();
      throw execError(error, command);
    }
  }

  async #execExit(exec: Docker.Exec): Promise<number | null> {
    try {
      const { ExitCode } = await this.#inspect((signal) => exec.inspect({ abortSignal: signal }));
      return ExitCode;
    } catch (error) {
      this.#log.debug({ err: error }, 'the exit code of a program is unknown');
      return null;
    }
  }

  #inspect<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return this.#operations.run({ operation: 'inspect', timeoutMs: LOOK_TIMEOUT_MS }, ({ signal }) => call(signal));
  }

  #cleanUp(name: string): void {
    const cleaning = this.#remove(name)
      .catch((error: unknown) =>
        this.#log.warn({ err: error, container: name }, 'a container is left to the next reconcile'),
      )
      .finally(() => this.#cleaning.delete(cleaning));
    this.#cleaning.add(cleaning);
  }

  /** The streams of a container that runs on end with the daemon: only Docker can tell that from a death. */
  async #inspectExit(id: string, lost: Error | undefined, startedAt: string | undefined): Promise<SandboxExit> {
    try {
      for (let look = 1; ; look++) {
        const { State } = await this.#inspect((abortSignal) => this.#docker.getContainer(id).inspect({ abortSignal }));
        const reason = endOf(State, startedAt, this.#config);
        if (reason !== undefined) return { code: State.Running ? null : State.ExitCode, reason };
        if (lost || look === DEATH_LOOKS) break;
        await delay(DEATH_LOOK_MS);
      }
    } catch (error) {
      this.#log.debug({ err: error, container: id }, 'the exit code of a container is unknown');
      if (statusOf(error) === 404) return { code: null, reason: 'its container was removed' };
    }
    return { code: null, reason: 'the connection to Docker was lost', mayRun: true };
  }
}

/** Ignores this status, which says that the work is done already. */
async function unless(status: number, call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (statusOf(error) !== status) throw error;
  }
}
