/** Whether a container still runs as it was started: one that was restarted has lost what its tmpfs held. Docker thread. */
import type Docker from 'dockerode';
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../../../src/shared/config.js';
import { FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { endOf, execError, statusOf } from './docker-errors.js';
import type { SandboxExit } from './driver.js';
import type { Operations } from './operations.js';

const LOOK_TIMEOUT_MS = 10_000;
/** Docker notices the death of a container a moment after its streams have ended. */
const DEATH_LOOKS = 10;
const DEATH_LOOK_MS = 100;

const REMOVED = 'its container was removed';

export interface ContainerLivesOptions {
  docker: Docker;
  operations: Operations;
  config: Pick<Config, 'sandbox'>;
  log: Logger;
}

export class ContainerLives {
  readonly #options: ContainerLivesOptions;

  constructor(options: ContainerLivesOptions) {
    this.#options = options;
  }

  /** When it started, as Docker says it; undefined: Docker did not say. */
  async startedAt(id: string): Promise<string | undefined> {
    try {
      return (await this.#stateOf(id)).StartedAt;
    } catch (error) {
      this.#options.log.debug({ err: error, container: id }, 'when a container started is unknown');
      return undefined;
    }
  }

  /** As `RunningSandbox.memory`, as `docker stats` counts it. */
  async memoryOf(id: string, signal: AbortSignal): Promise<number | undefined> {
    const { docker, operations, log } = this.#options;
    try {
      const call = { operation: 'stats' as const, timeoutMs: LOOK_TIMEOUT_MS, signal };
      const { memory_stats: used } = await operations.run(call, (attempt) => {
        const options = { stream: false as const, 'one-shot': true, abortSignal: attempt.signal };
        return docker.getContainer(id).stats(options);
      });
      if (typeof used?.usage !== 'number') return undefined; // it has ended
      const { inactive_file: cgroup2, total_inactive_file: cgroup1 } = (used.stats ?? {}) as Partial<
        Record<string, number>
      >;
      return Math.max(0, used.usage - (cgroup2 ?? cgroup1 ?? 0));
    } catch (error) {
      log.debug({ err: error, container: id }, 'the memory of a container is unknown');
      return undefined;
    }
  }

  /** The streams of a container that runs on end with the daemon: only Docker can tell that from a death. */
  async exitOf(id: string, startedAt: string | undefined, lost: Error | undefined): Promise<SandboxExit> {
    const { config, log } = this.#options;
    try {
      for (let look = 1; ; look++) {
        const state = await this.#stateOf(id);
        const reason = endOf(state, startedAt, config);
        if (reason !== undefined) return { code: state.Running ? null : state.ExitCode, reason };
        if (lost || look === DEATH_LOOKS) break;
        await delay(DEATH_LOOK_MS);
      }
    } catch (error) {
      log.debug({ err: error, container: id }, 'the exit code of a container is unknown');
      if (statusOf(error) === 404) return { code: null, reason: REMOVED };
    }
    return { code: null, reason: 'the connection to Docker was lost', mayRun: true };
  }

  /** As `RunningSandbox.confirmUnbroken`. */
  async confirmUnbroken(id: string, startedAt: string | undefined, signal: AbortSignal): Promise<void> {
    let end: string | undefined;
    try {
      end = endOf(await this.#stateOf(id, signal), startedAt, this.#options.config);
    } catch (error) {
      signal.throwIfAborted();
      if (statusOf(error) === 404) throw new FairleadError('ERR_SANDBOX', REMOVED, { cause: error });
      throw execError(error, ['inspect']);
    }
    if (end !== undefined) throw new FairleadError('ERR_SANDBOX', end);
  }

  async #stateOf(id: string, signal?: AbortSignal): Promise<Docker.ContainerInspectInfo['State']> {
    const { docker, operations } = this.#options;
    const call = { operation: 'inspect' as const, timeoutMs: LOOK_TIMEOUT_MS, ...(signal && { signal }) };
    const { State } = await operations.run(call, (attempt) =>
      docker.getContainer(id).inspect({ abortSignal: attempt.signal }),
    );
    return State;
  }
}
