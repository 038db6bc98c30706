/**
 * The docker thread as the main thread sees it: a Piscina pool of one worker. Main thread.
 *
 * Leases are Piscina tasks. They wait for a sandbox in the docker thread, in a bounded queue for each image, so that a warm
 * sandbox of one image does not wait behind a cold one of another. All else goes over a control port that the worker hands
 * out at its start, so that a release is never refused because leases fill a queue.
 */
import type { MessagePort, TransferListItem } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type {
  DockerControl,
  DockerControlMessage,
  DockerHost,
  DockerTaskName,
  DockerTasks,
  DockerWorkerData,
  LeaseRequest,
  LeaseResult,
  Loss,
  LossTold,
  SavedSize,
} from '../../workers/docker/contract/messages.js';
import type { BreakerState } from '../../workers/docker/contract/messages.js';
import { pending, withDeadline } from '../shared/abort.js';
import type { Config } from '../shared/config.js';
import { FairleadError, isFairleadError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import { gauge } from '../shared/metrics.js';
import { Channel } from '../shared/threads/channel.js';
import { fromTaskResult, type TaskResult } from '../shared/threads/task-result.js';

/** More than all queues of the docker thread hold; further leases wait in Piscina's queue, then are refused. */
const AT_ONCE = 1_000;
const WAITING = 1_000;
const FULL_RETRY_MS = 2_000;
const LOST_RETRY_MS = 1_000;
const WORKER_FILE = new URL('../../workers/docker/index.js', import.meta.url).href;

export interface DockerPoolOptions {
  /** It may change: a worker that starts gets what counts then. */
  config: Config;
  /** What counts now, with its number; for a worker that started meanwhile. Absent: it never changes. */
  newest?: () => { generation: number; config: Config };
  instance: string;
  driver: DockerWorkerData['driver'];
  log: Logger;
  /** Finds the sessions that the store does not have. */
  missingSessions?: (sessions: string[]) => Promise<{ missing: string[] }>;
  /** Writes a loss of files to its session's log. Absent: nobody is told. */
  tellLoss?: (loss: Loss) => Promise<LossTold>;
  /** Counts saved workspaces for their users. Absent: nobody counts them. */
  noteSaved?: (saves: SavedSize[]) => Promise<void>;
  /** Reports the circuit breaker around Docker. */
  onBreaker?: (state: BreakerState) => void;
  /** The worker has died: its sandboxes' ports are closed and its callers are settled. A new one starts and adopts its sandboxes. */
  onWorkerLost?: (error: FairleadError) => void;
  /** Warm sandboxes are started only after it; leases are served before. Absent: at once. */
  fillPoolsAfter?: Promise<unknown>;
  /** How long `close` waits for the removal of sandboxes; the next start adopts or removes the rest. */
  closeTimeoutMs?: number;
}

export interface DockerPool {
  /**
   * Runs a task. Rejects with the task's own errors, ERR_UNAVAILABLE when too many wait or the worker dies or does not
   * answer, and ERR_DRAINING once closed. `transfer`: the port of a lease or of a server that is started.
   */
  run<K extends DockerTaskName>(
    name: K,
    request: DockerTasks[K]['request'],
    transfer?: readonly TransferListItem[],
  ): Promise<DockerTasks[K]['result']>;
  /** Terminates a thread that hangs; a new one starts and adopts its sandboxes. Resolves when it has ended. */
  endThread(): Promise<void>;
  /** Removes all sandboxes, then ends the thread. Idempotent. */
  close(): Promise<void>;
}

type Control = Channel<DockerHost, DockerControl>;

const pools = new Set<Piscina>();
const sum = (of: (pool: Piscina) => number): number => [...pools].reduce((total, pool) => total + of(pool), 0);
gauge('fairlead_docker_queue_size', 'Leases waiting for the docker thread', [], (g) => {
  g.set(sum((pool) => pool.queueSize));
});
gauge('fairlead_docker_queue_wait_seconds', 'How long leases waited for the docker thread', ['quantile'], (g) => {
  for (const pool of pools) {
    g.set({ quantile: '0.5' }, pool.histogram.waitTime.p50 / 1_000);
    g.set({ quantile: '0.99' }, pool.histogram.waitTime.p99 / 1_000);
  }
});

export function openDockerPool(options: DockerPoolOptions): DockerPool {
  return new PiscinaDockerPool(options);
}

class PiscinaDockerPool implements DockerPool {
  readonly #options: DockerPoolOptions;
  readonly #piscina: Piscina;
  #control = pending<Control>();
  #connected: Control | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: DockerPoolOptions) {
    this.#options = options;
    const { config, instance, driver } = options;
    this.#piscina = new Piscina({
      filename: WORKER_FILE,
      workerData: { config, instance, driver } satisfies DockerWorkerData,
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: AT_ONCE,
      maxQueue: WAITING,
      idleTimeout: Infinity,
      atomics: 'disabled', // else its event loop blocks between tasks, and with it every sandbox's stdio
      stricterFIFO: true, // else a lease that finds no free slot moves from the head of the queue to its end
    });
    pools.add(this.#piscina);
    this.#piscina.on('message', (message: DockerControlMessage) => this.#connect(message.control));
    this.#piscina.on('error', (error: Error) => {
      options.log.error({ err: error }, 'docker thread: error');
      if (!this.#connected) this.#expectControl(lostError(error)); // it has died at its start
    });
  }

  async run<K extends DockerTaskName>(
    name: K,
    request: DockerTasks[K]['request'],
    transfer: readonly TransferListItem[] = [],
  ): Promise<DockerTasks[K]['result']> {
    if (this.#closing) throw new FairleadError('ERR_DRAINING', 'the server is stopping');
    return name === 'lease-sandbox'
      ? this.#lease(request as LeaseRequest, transfer)
      : this.#ask(name, request, this.#askTimeoutMs(), transfer);
  }

  async endThread(): Promise<void> {
    await Promise.all(this.#piscina.threads.map((thread) => thread.terminate()));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #lease(request: LeaseRequest, transfer: readonly TransferListItem[]): Promise<LeaseResult> {
    // A sandbox that comes too late is released, since its port is closed by then.
    const { leaseTimeoutMs, startTimeoutMs } = this.#options.config.sandbox;
    const timeoutMs = leaseTimeoutMs + startTimeoutMs + 5_000;
    try {
      // Without a signal: to stop one task, Piscina would end the whole thread.
      const result = await withTimeout(timeoutMs, () =>
        this.#piscina.run(request, { name: 'lease-sandbox', transferList: [...transfer] }),
      );
      return fromTaskResult(result as TaskResult<LeaseResult>);
    } catch (error) {
      throw isFairleadError(error) ? error : this.#explain(error as Error);
    }
  }

  async #ask<K extends Exclude<DockerTaskName, 'lease-sandbox'>>(
    name: K,
    request: DockerTasks[K]['request'],
    timeoutMs: number,
    transfer: readonly TransferListItem[] = [],
  ): Promise<DockerTasks[K]['result']> {
    const control = await withTimeout(timeoutMs, () => this.#control.promise);
    return control.request(name, request, { timeoutMs, transfer });
  }

  #askTimeoutMs(): number {
    const { leaseTimeoutMs, startTimeoutMs } = this.#options.config.sandbox;
    return leaseTimeoutMs * 2 + startTimeoutMs;
  }

  #connect(port: MessagePort): void {
    const channel: Control = new Channel(port);
    const { missingSessions, tellLoss, noteSaved } = this.#options;
    channel.handle(
      {
        'missing-sessions': ({ sessions }) => missingSessions?.(sessions) ?? { missing: [] },
        'tell-loss': (loss) => tellLoss?.(loss) ?? { told: true },
        'note-saved': async ({ saves }) => {
          await noteSaved?.(saves);
          return null;
        },
      },
      { breaker: ({ state }) => this.#options.onBreaker?.(state) },
    );
    port.once('close', () => this.#lost(channel));
    port.unref(); // the port alone must not keep the process alive; the deadlines of its callers do
    this.#connected = channel;
    const newest = this.#options.newest?.();
    if (newest && newest.generation > 1) void this.#setConfig(channel, newest);
    void this.#fillPools(channel);
    this.#control.resolve(channel);
  }

  /** A worker that cannot take it is ended by whoever asks for that. */
  async #setConfig(channel: Control, newest: { generation: number; config: Config }): Promise<void> {
    try {
      await channel.request('set-config', newest, { timeoutMs: this.#askTimeoutMs() });
    } catch (error) {
      this.#options.log.warn(
        { err: (error as Error).message },
        'docker thread: it started with an older configuration',
      );
    }
  }

  async #fillPools(channel: Control): Promise<void> {
    await this.#options.fillPoolsAfter;
    if (this.#connected === channel) channel.notify('fill-pools', {});
  }

  /** Callers that wait for the dead worker get the error; later ones wait for the next worker. */
  #expectControl(error: FairleadError): void {
    const { reject } = this.#control;
    this.#control = pending();
    reject(error);
  }

  #lost(channel: Control): void {
    const error = lostError();
    channel.close(error);
    if (this.#closing || this.#connected !== channel) return;
    this.#connected = undefined;
    this.#expectControl(error);
    this.#options.onBreaker?.('closed'); // as the next worker's is until it says otherwise
    this.#options.log.error('docker thread: died; a new one starts and adopts its sandboxes');
    this.#options.onWorkerLost?.(error);
  }

  async #close(): Promise<void> {
    const { config, log, closeTimeoutMs = config.listen.drainTimeoutMs } = this.#options;
    try {
      const { removed } = await this.#ask('close-sandboxes', {}, closeTimeoutMs);
      if (removed > 0) log.info({ removed }, 'sandboxes removed');
    } catch (error) {
      log.warn({ err: error }, 'sandboxes are left to the next start');
    }
    await this.#piscina.destroy();
    pools.delete(this.#piscina);
  }

  /** Piscina's errors have no codes, so they are told apart by their text (its errors.ts). */
  #explain(error: Error): FairleadError {
    if (error.message === 'Task queue is at limit') {
      return new FairleadError('ERR_UNAVAILABLE', `${WAITING} others wait for a sandbox already`, {
        cause: error,
        retryAfterMs: FULL_RETRY_MS,
      });
    }
    if (this.#closing) return new FairleadError('ERR_DRAINING', 'the server is stopping', { cause: error });
    if (error.name === 'DataCloneError') {
      return new FairleadError('ERR_CANCELLED', 'the port was closed while its lease waited', { cause: error });
    }
    return lostError(error);
  }
}

function lostError(cause?: Error): FairleadError {
  return new FairleadError('ERR_UNAVAILABLE', 'the docker thread has died', { cause, retryAfterMs: LOST_RETRY_MS });
}

function withTimeout<T>(timeoutMs: number, work: () => Promise<T>): Promise<T> {
  const late = (): FairleadError =>
    new FairleadError('ERR_UNAVAILABLE', `the docker thread did not answer within ${timeoutMs} ms`, {
      retryAfterMs: FULL_RETRY_MS,
    });
  return withDeadline({ timeoutMs, late }, work);
}
