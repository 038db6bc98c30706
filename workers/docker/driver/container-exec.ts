/** Runs programs inside containers beside their server, as the user that owns its files. Docker thread. */
import type Docker from 'dockerode';
import type { Readable } from 'node:stream';
import { onAbort } from '../../../src/shared/abort.js';
import type { Logger } from '../../../src/shared/log.js';
import { openContainerStream } from './container-stream.js';
import { demux } from './demux.js';
import { execError } from './docker-errors.js';
import type { Environment, SandboxProgram } from './driver.js';
import type { Operations } from './operations.js';
import type { UserPair } from './sandbox-users.js';

const TIMEOUT_MS = 10_000;

export interface ExecPlace {
  /** Container id. */
  readonly id: string;
  /** Undefined for containers of 0.2.0, which have one user. */
  readonly users: UserPair | undefined;
  /** Set where the server's own folder is no place for other programs. */
  readonly runner: readonly string[] | undefined;
}

export interface ContainerExecsOptions {
  docker: Docker;
  operations: Operations;
  log: Logger;
}

export class ContainerExecs {
  readonly #options: ContainerExecsOptions;

  constructor(options: ContainerExecsOptions) {
    this.#options = options;
  }

  /** Errors as `RunningSandbox.exec`. */
  async run(
    place: ExecPlace,
    command: readonly string[],
    signal: AbortSignal,
    env: Environment = {},
  ): Promise<SandboxProgram> {
    try {
      return await this.#options.operations.run(
        { operation: 'exec', timeoutMs: TIMEOUT_MS, signal },
        async (attempt) => {
          const exec = await this.#create(place, command, env, true, attempt.signal);
          const socket = await openContainerStream(attempt.signal, (abortSignal) =>
            exec.start({ hijack: true, stdin: true, abortSignal }),
          );
          const stop = onAbort(signal, () => socket.destroy());
          const { stdout, stderr, ended } = demux(socket);
          const exited = ended.then(() => {
            stop();
            return this.#exitCode(exec);
          });
          return { stdin: socket, stdout, stderr, exited };
        },
      );
    } catch (error) {
      signal.throwIfAborted();
      throw execError(error, command);
    }
  }

  /** Starts a program that nobody reads or waits for. Errors as `run`. */
  async start(place: ExecPlace, command: readonly string[], env: Environment, signal?: AbortSignal): Promise<void> {
    try {
      const options = { operation: 'exec' as const, timeoutMs: TIMEOUT_MS, ...(signal && { signal }) };
      await this.#options.operations.run(options, async (attempt) => {
        const exec = await this.#create(place, command, env, false, attempt.signal);
        const answer = (await exec.start({ Detach: true, abortSignal: attempt.signal })) as Readable;
        answer.resume(); // it is empty
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw execError(error, command);
    }
  }

  #create(
    { id, users, runner }: ExecPlace,
    command: readonly string[],
    env: Environment,
    attach: boolean,
    abortSignal: AbortSignal,
  ): Promise<Docker.Exec> {
    return this.#options.docker.getContainer(id).exec({
      Cmd: [...command],
      Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      ...(users && { User: `${users.runner}:${users.runner}` }),
      ...(runner && { WorkingDir: '/workspace' }),
      AttachStdin: attach,
      AttachStdout: attach,
      AttachStderr: attach,
      abortSignal,
    });
  }

  async #exitCode(exec: Docker.Exec): Promise<number | null> {
    const { operations, log } = this.#options;
    try {
      const { ExitCode } = await operations.run({ operation: 'inspect', timeoutMs: TIMEOUT_MS }, ({ signal }) =>
        exec.inspect({ abortSignal: signal }),
      );
      return ExitCode;
    } catch (error) {
      log.debug({ err: error }, 'the exit code of a program is unknown');
      return null;
    }
  }
}
