/** RunningSandbox over a started, attached container. Docker thread. */
import type { Duplex, Readable, Writable } from 'node:stream';
import { untilAborted } from '../../../src/shared/abort.js';
import type { Demuxed } from './demux.js';
import type { Environment, RunningSandbox, SandboxExit, SandboxProgram } from './driver.js';

/** For a sandbox whose processes are at their limit: room for what saves it, and for what takes its place meanwhile. */
const SPARE_PROCESSES = 256;
const THAW_MS = 10_000;

/** What the driver does for it. */
export interface ContainerActions {
  /** Never rejects. */
  startedAt: Promise<string | undefined>;
  inspectExit(lost: Error | undefined): Promise<SandboxExit>;
  exec(command: readonly string[], signal: AbortSignal, env?: Environment): Promise<SandboxProgram>;
  /** As `RunningSandbox.confirmUnbroken`. */
  confirmUnbroken(signal: AbortSignal): Promise<void>;
  attachAgain(signal: AbortSignal): Promise<RunningSandbox>;
  /** How many processes it may have, `more` than configured. */
  limitProcesses(more: number, signal: AbortSignal): Promise<void>;
  /** As `RunningSandbox.memory`. */
  memory(signal: AbortSignal): Promise<number | undefined>;
  /** '' takes the session out of the name. */
  rename(session: string): Promise<void>;
  /** Stops it, attaches again, starts it. */
  restart(signal: AbortSignal): Promise<RunningSandbox>;
  remove(): Promise<void>;
}

export class DockerSandbox implements RunningSandbox {
  readonly id: string;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly exited: Promise<SandboxExit>;
  readonly #socket: Duplex;
  readonly #actions: ContainerActions;
  startedAt?: string;
  /** We end it ourselves. */
  #retired = false;
  #assigning: Promise<void> | undefined;
  #removal: Promise<void> | undefined;

  constructor(id: string, socket: Duplex, streams: Demuxed, actions: ContainerActions) {
    this.id = id;
    this.stdin = socket;
    this.stdout = streams.stdout;
    this.stderr = streams.stderr;
    this.#socket = socket;
    this.#actions = actions;
    void this.#learnStart(actions);
    // Its stream ends with the container, so no wait call per container is needed.
    this.exited = streams.ended.then((lost) =>
      this.#retired || this.#removal ? { code: null, reason: 'ended by us' } : actions.inspectExit(lost),
    );
  }

  async #learnStart(actions: ContainerActions): Promise<void> {
    const startedAt = await actions.startedAt;
    if (startedAt !== undefined) this.startedAt = startedAt;
  }

  exec(command: readonly string[], signal: AbortSignal, env?: Environment): Promise<SandboxProgram> {
    return this.#actions.exec(command, signal, env);
  }

  confirmUnbroken(signal: AbortSignal): Promise<void> {
    return this.#actions.confirmUnbroken(signal);
  }

  async freeze(signal: AbortSignal): Promise<() => Promise<void>> {
    await this.#actions.limitProcesses(SPARE_PROCESSES, signal);
    // The kernel stops all at once, but for the first process and the one that asks for it: none of them can start another.
    await this.#signalAll('STOP', signal);
    return async () => {
      const end = AbortSignal.timeout(THAW_MS);
      await this.#signalAll('CONT', end).catch(() => undefined); // the sandbox has ended, or Docker is away
      await this.#actions.limitProcesses(0, end).catch(() => undefined);
    };
  }

  async #signalAll(name: 'STOP' | 'CONT', signal: AbortSignal): Promise<void> {
    const { stdin, stdout, stderr, exited } = await this.exec(['sh', '-c', `kill -s ${name} -- -1`], signal);
    stdin.end();
    stdout.resume();
    stderr.resume();
    await untilAborted(signal, () => exited);
  }

  memory(signal: AbortSignal): Promise<number | undefined> {
    return this.#actions.memory(signal);
  }

  attachAgain(signal: AbortSignal): Promise<RunningSandbox> {
    this.#socket.destroy();
    return this.#actions.attachAgain(signal);
  }

  assign(session: string): Promise<void> {
    this.#assigning = this.#actions.rename(session).catch(() => undefined); // the name is for operators only
    return this.#assigning;
  }

  async restart(signal: AbortSignal): Promise<RunningSandbox> {
    this.#retired = true;
    this.#socket.destroy();
    await this.#assigning;
    if (this.#assigning) await this.#actions.rename('');
    return this.#actions.restart(signal);
  }

  destroy(): Promise<void> {
    this.#removal ??= this.#actions.remove();
    this.#socket.destroy();
    return this.#removal;
  }
}
