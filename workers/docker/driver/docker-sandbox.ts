/** A started, attached container as a sandbox. Docker thread. */
import type { Duplex, Readable, Writable } from 'node:stream';
import type { Demuxed } from './demux.js';
import type { ExecOptions, RunningSandbox, SandboxExit, SandboxProgram } from './driver.js';

/** What only the driver can do. */
export interface ContainerActions {
  inspectExit(lost: Error | undefined): Promise<SandboxExit>;
  exec(command: readonly string[], signal: AbortSignal, options?: ExecOptions): Promise<SandboxProgram>;
  /** '': nobody's. */
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
  /** Its end is our doing. */
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
    // No wait call of its own for each container: its stream ends when it does.
    this.exited = streams.ended.then((lost) =>
      this.#retired || this.#removal ? { code: null, reason: 'ended by us' } : actions.inspectExit(lost),
    );
  }

  exec(command: readonly string[], signal: AbortSignal, options?: ExecOptions): Promise<SandboxProgram> {
    return this.#actions.exec(command, signal, options);
  }

  assign(session: string): Promise<void> {
    this.#assigning = this.#actions.rename(session).catch(() => undefined); // its name is for people only
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
