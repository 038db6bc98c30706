/** RunningSandbox over a started, attached container. Docker thread. */
import type { Duplex, Readable, Writable } from 'node:stream';
import type { Demuxed } from './demux.js';
import type { Environment, RunningSandbox, SandboxExit, SandboxProgram } from './driver.js';

/** What the driver does for it. */
export interface ContainerActions {
  /** Never rejects. */
  startedAt: Promise<string | undefined>;
  inspectExit(lost: Error | undefined): Promise<SandboxExit>;
  exec(command: readonly string[], signal: AbortSignal, env?: Environment): Promise<SandboxProgram>;
  attachAgain(signal: AbortSignal): Promise<RunningSandbox>;
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
