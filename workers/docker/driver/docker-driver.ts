/** Runs sandboxes as Docker containers: creates, attaches and starts them, and removes what a failed start made. Docker thread. */
import type Docker from 'dockerode';
import type { Duplex } from 'node:stream';
import type { Config } from '../../../src/shared/config.js';
import { dockerClient } from '../../../src/shared/docker-client.js';
import { FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { followContainers, nameGiven } from './container-events.js';
import {
  containerOptions,
  LABEL_PIDS,
  LABEL_INSTANCE,
  LABEL_OPTIONS,
  optionsOf,
  type Individual,
  type MadeFrom,
} from './container-options.js';
import { ContainerExecs } from './container-exec.js';
import { ContainerLives } from './container-lives.js';
import { demux, type Demuxed } from './demux.js';
import { endOf, execError, startError, mayHaveCreated, statusOf, dockerUnavailable } from './docker-errors.js';
import { DockerSandbox } from './docker-sandbox.js';
import type { Adopting, FoundSandbox, RunningSandbox, SandboxDriver, SandboxWatcher, StartRequest } from './driver.js';
import { Images } from './images.js';
import { openContainerStream } from './container-stream.js';
import { OutputThrottle } from './output-throttle.js';
import { type BreakerState } from '../contract/messages.js';
import { BREAK_MS, Operations, type OperationName } from './operations.js';
import { RunnerKeeper, runnerCommand, runnerEnvironment, serverEnvironment } from './runner.js';
import { LABEL_USERS, readUsers, SandboxUsers, type UserPair } from './sandbox-users.js';

const LOOK_TIMEOUT_MS = 10_000;
const REMOVE_TIMEOUT_MS = 20_000;
/** How long after the breaker's half-open moment we probe, so that a caller may come first. */
const PROBE_LATER_MS = 500;

/** One container, new or found. */
interface Placed {
  readonly id: string;
  readonly name: string;
  /** Undefined for containers of 0.2.0. */
  readonly users: UserPair | undefined;
  readonly runner: readonly string[] | undefined;
}

type NextStep = (operation: OperationName) => { operation: OperationName; timeoutMs: number };

export class DockerDriver implements SandboxDriver {
  readonly maxWarm = Infinity;
  readonly adopting: Adopting = {
    find: () => this.#find(),
    optionsOf: (from) =>
      optionsOf({ ...from, volumes: this.#images.volumesOf(from.imageId ?? from.image) }, this.#config.sandbox),
  };
  readonly #docker: Docker;
  readonly #config: Config;
  readonly #instance: string;
  readonly #log: Logger;
  readonly #operations: Operations;
  readonly #images: Images;
  readonly #users: SandboxUsers;
  /** The users of all containers that are there are known. */
  #usersKnown = false;
  readonly #execs: ContainerExecs;
  readonly #lives: ContainerLives;
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
      if (state === 'closed') this.#watcher?.onBack(true);
    });
    this.#users = new SandboxUsers(config.sandbox.uids);
    this.#images = new Images(this.#docker, this.#operations, log);
    const tools = { docker: this.#docker, operations: this.#operations, log };
    this.#execs = new ContainerExecs(tools);
    this.#lives = new ContainerLives({ ...tools, config });
  }

  async start(request: StartRequest): Promise<RunningSandbox> {
    const { name, server, image, imageId = image, signal } = request;
    const step = this.#steps();
    let asked = false;
    let created = false;
    try {
      signal.throwIfAborted();
      await this.#knowUsers(step);
      const { runner, volumes } = await this.#images.get(imageId, step('inspect').timeoutMs);
      const users = this.#users.take(name);
      // The caller's signal does not cut this call: Docker would go on creating, and a removal now would come too early.
      const serverEnv = runner && serverEnvironment(this.#instance, name);
      asked = true;
      const id = await this.#create({ ...request, volumes }, { users, serverEnv }, step('create'));
      created = true;
      return await this.#run({ id, name, users, runner }, step, signal);
    } catch (error) {
      // A create that was not answered may still succeed after this removal: then the next reconcile removes it.
      if (created || (asked && mayHaveCreated(error))) this.#cleanUp(name);
      else this.#users.giveBack(name);
      signal.throwIfAborted();
      throw startError(error, server, image, this.#config);
    }
  }

  async resolveImage(image: string, server: string): Promise<string> {
    try {
      return (await this.#images.resolve(image)).id;
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
        await this.#remove(Id, nameGiven(Names[0] ?? ''));
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
      const call = { operation: 'list' as const, timeoutMs: LOOK_TIMEOUT_MS };
      return await this.#operations.remove(call, ({ signal }) => this.#listed(signal));
    } catch (error) {
      throw dockerUnavailable('Docker did not list the containers of this instance', error);
    }
  }

  #listed(abortSignal: AbortSignal): Promise<Docker.ContainerInfo[]> {
    const filters = { label: [`${LABEL_INSTANCE}=${this.#instance}`] };
    return this.#docker.listContainers({ all: true, filters, abortSignal });
  }

  /** Before the first start: no new container may get the users of one that an earlier run has left. */
  async #knowUsers(step: NextStep): Promise<void> {
    if (!this.#usersKnown)
      this.#noteUsers(await this.#operations.run(step('list'), ({ signal }) => this.#listed(signal)));
  }

  #noteUsers(found: readonly Docker.ContainerInfo[]): void {
    for (const { Names, Labels } of found) this.#users.note(nameGiven(Names[0] ?? ''), Labels[LABEL_USERS]);
    this.#usersKnown = true;
  }

  async #find(): Promise<FoundSandbox[]> {
    const containers = await this.#list();
    this.#noteUsers(containers);
    return containers.map(({ Id: id, Names, State, Labels }) => {
      const name = nameGiven(Names[0] ?? '');
      const placed = { id, name, users: readUsers(Labels[LABEL_USERS]), runner: runnerCommand(Labels) };
      return {
        id,
        name,
        named: Names.some((given) => given.replace(/^\//, '') !== name),
        runs: State === 'running' || State === 'paused',
        options: Labels[LABEL_OPTIONS] ?? '',
        attach: (signal, startedAt) => this.#attachAgain(placed, signal, startedAt),
        destroy: () => this.#remove(id, name),
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
      const call = { operation: 'inspect' as const, timeoutMs: LOOK_TIMEOUT_MS };
      this.#operations
        .run(call, () => this.#docker.ping())
        .catch((error: unknown) => this.#log.debug({ err: error }, 'docker: the probe failed'));
    }, BREAK_MS + PROBE_LATER_MS);
    this.#probe.unref(); // must not keep the process alive
  }

  /** The name is random: if a retry finds it taken, the first try created the container and only its answer was lost. */
  #create(
    request: StartRequest & MadeFrom,
    individual: Individual,
    options: Parameters<Operations['run']>[0],
  ): Promise<string> {
    return this.#operations.run(options, async ({ attempt, signal }) => {
      const description = containerOptions(request, this.#instance, this.#config.sandbox, individual);
      try {
        return (await this.#docker.createContainer({ ...description, abortSignal: signal })).id;
      } catch (error) {
        if (attempt === 0 || statusOf(error) !== 409) throw error;
        return (await this.#docker.getContainer(request.name).inspect({ abortSignal: signal })).Id;
      }
    });
  }

  /** By name or id. A missing container counts as removed. */
  async #remove(container: string, name: string): Promise<void> {
    try {
      await this.#operations.remove({ timeoutMs: REMOVE_TIMEOUT_MS }, async ({ signal }) => {
        await unless(404, this.#docker.getContainer(container).remove({ force: true, v: true, abortSignal: signal }));
      });
      this.#users.giveBack(name);
    } catch (error) {
      throw dockerUnavailable(`the container ${container} could not be removed now`, error);
    }
  }

  /** Attaches before the start, so that no output is missed. */
  async #run(placed: Placed, step: NextStep, signal: AbortSignal): Promise<DockerSandbox> {
    const { id } = placed;
    const socket = await this.#attach(id, step, signal);
    const streams = demux(socket, this.#throttle);
    try {
      await this.#operations.run({ ...step('start'), signal }, async (attempt) => {
        await unless(304, this.#docker.getContainer(id).start({ abortSignal: attempt.signal })); // started by an earlier try
      });
      await this.#startRunner(placed, signal); // while the server boots
    } catch (error) {
      socket.destroy();
      throw error;
    }
    return this.#sandbox(placed, socket, streams, this.#lives.startedAt(id));
  }

  /** Docker attaches to a stopped container as well, without an error, so its state is inspected afterwards, too. */
  async #attachAgain(placed: Placed, signal: AbortSignal, startedAt?: string): Promise<DockerSandbox> {
    const { id } = placed;
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
      return this.#sandbox(placed, socket, streams, Promise.resolve(StartedAt));
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

  async #startRunner(placed: Placed, signal?: AbortSignal): Promise<void> {
    const { name, runner } = placed;
    if (runner) await this.#execs.start(placed, runner, runnerEnvironment(this.#instance, name), signal);
  }

  #sandbox(placed: Placed, socket: Duplex, streams: Demuxed, startedAt: Promise<string | undefined>): DockerSandbox {
    const { id, name, runner } = placed;
    if (runner) {
      const keeper = new RunnerKeeper(streams.stderr, () => this.#startRunner(placed), this.#log);
      void streams.ended.then(() => keeper.stop());
    }
    return new DockerSandbox(id, socket, streams, {
      startedAt,
      inspectExit: async (lost) => this.#lives.exitOf(id, await startedAt, lost),
      exec: (command, execSignal, env) => this.#execs.run(placed, command, execSignal, env),
      confirmUnbroken: async (lookSignal) => this.#lives.confirmUnbroken(id, await startedAt, lookSignal),
      attachAgain: async (attachSignal) => this.#attachAgain(placed, attachSignal, await startedAt),
      restart: (restartSignal) => this.#restart(placed, restartSignal),
      limitProcesses: (more, limitSignal) => this.#limitProcesses(id, more, limitSignal),
      memory: (lookSignal) => this.#lives.memoryOf(id, lookSignal),
      rename: (session) => this.#rename(id, session ? `${name}.${session}` : name),
      remove: () => this.#remove(id, name),
    });
  }

  /** A restart empties its writable places: they are tmpfs. */
  async #restart(placed: Placed, signal: AbortSignal): Promise<DockerSandbox> {
    const { id } = placed;
    const step = this.#steps();
    try {
      await this.#operations.run({ ...step('stop'), signal }, async (attempt) => {
        await unless(304, this.#docker.getContainer(id).stop({ t: 0, abortSignal: attempt.signal })); // stopped already
      });
      return await this.#run(placed, step, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw dockerUnavailable('the container could not be restarted', error);
    }
  }

  async #limitProcesses(id: string, more: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#operations.run({ operation: 'update', timeoutMs: LOOK_TIMEOUT_MS, signal }, async (attempt) => {
        const container = this.#docker.getContainer(id);
        const { Config: made } = await container.inspect({ abortSignal: attempt.signal });
        const pids = Number(made.Labels[LABEL_PIDS] ?? this.#config.sandbox.pids);
        await container.update({ PidsLimit: pids + more, abortSignal: attempt.signal });
      });
    } catch (error) {
      signal.throwIfAborted();
      throw execError(error, ['update']);
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

  #cleanUp(name: string): void {
    const cleaning = this.#remove(name, name)
      .catch((error: unknown) =>
        this.#log.warn({ err: error, container: name }, 'a container is left to the next reconcile'),
      )
      .finally(() => this.#cleaning.delete(cleaning));
    this.#cleaning.add(cleaning);
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
