/** Supervises one agent thread: restarts it with backoff when it ends, and ends it when it hangs. Main thread. */
import type { Worker } from 'node:worker_threads';
import { pending, withDeadline } from '../shared/abort.js';
import { backoffMs } from '../shared/backoff.js';
import { FairleadError, errorToData } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import type { AgentContract } from '../../workers/agent/contract/messages.js';
import type { AgentNotificationName } from './agents.js';
import { startLife, type AgentChannel, type AgentHost, type AgentLife } from './agent-life.js';
import { agentSlot, type LoopWatch } from '../shared/threads/loop-watch.js';

const BACKOFF = { firstMs: 100, maxMs: 5_000, jitter: 0 };
/** A thread that has served this long restarts at once, as after its first end. */
const HEALTHY_AFTER_MS = 10_000;
/** How long a request waits for a thread that restarts. */
const RESTART_WAIT_MS = 10_000;
const RETRY_MS = 1_000;

export interface SupervisorOptions {
  index: number;
  host: AgentHost;
  log: Logger;
  loops: LoopWatch;
  /** Starts a worker; `again`: not the first one. Throws when the machine has no thread left. */
  spawn: (index: number, again: boolean) => Worker;
  /** See RESTART_WAIT_MS. */
  restartWaitMs?: number;
  startTimeoutMs?: number;
}

type State =
  | { name: 'stopped' }
  | { name: 'starting'; life: AgentLife }
  | { name: 'ready'; life: AgentLife; since: number }
  | { name: 'ending'; life: AgentLife } // it hangs and is terminated
  | { name: 'waiting'; timer: NodeJS.Timeout };

export class AgentSupervisor {
  readonly #options: SupervisorOptions;
  readonly #log: Logger;
  #state: State = { name: 'stopped' };
  /** The next channel; requests wait for it while the thread is down. */
  #serving = pending<AgentChannel>();
  /** Ends in a row, each soon after its start. */
  #ends = 0;
  #closing = false;
  #served = false;
  /** Ends only when the thread has exited: one that hangs in an addon cannot be terminated, and must not count as healthy. */
  #watch: { end(): void } | undefined;
  #downSince = 0;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#log = options.log.child({ agent: options.index });
  }

  get alive(): boolean {
    return this.#state.name === 'ready';
  }

  /** ERR_START with the thread's own message when its store or model cannot be used. */
  async start(): Promise<void> {
    this.#launch();
    await this.#serving.promise;
  }

  /** The thread's channel. Waits for it during a restart, then ERR_UNAVAILABLE. ERR_CHANNEL_CLOSED once it is stopped. */
  channel(): AgentChannel | Promise<AgentChannel> {
    switch (this.#state.name) {
      case 'ready':
        return this.#state.life.channel;
      case 'starting':
      case 'ending':
      case 'waiting':
        return this.#wait();
      case 'stopped':
        throw stoppedError();
    }
  }

  /** A thread that does not serve is not told. */
  notify<K extends AgentNotificationName>(name: K, body: AgentContract['notifications'][K]): void {
    if (this.#state.name === 'ready') this.#state.life.channel.notify(name, body);
  }

  /** Has the thread close its store and exit; terminates it at the deadline. */
  async close(deadlineMs: number): Promise<void> {
    this.#closing = true;
    if (this.#state.name === 'waiting') {
      clearTimeout(this.#state.timer);
      this.#stop();
    }
    if (this.#state.name === 'stopped' || this.#state.name === 'waiting') return;
    const { worker, channel, ready, ended } = this.#state.life;
    const timer = setTimeout(() => void worker.terminate(), deadlineMs);
    ready.then(
      () => channel.notify('close', {}), // before that the thread does not listen
      () => undefined, // it is being terminated
    );
    await ended;
    clearTimeout(timer);
  }

  #launch(): void {
    const { index, host, spawn, startTimeoutMs } = this.#options;
    let life: AgentLife;
    try {
      const worker = spawn(index, this.#served);
      life = startLife(worker, host, (code, fault) => this.#ended(code, fault), startTimeoutMs);
    } catch (error) {
      this.#ended(1, error as Error);
      return;
    }
    this.#state = { name: 'starting', life };
    life.ready.then(
      () => this.#serve(life),
      (error: Error) => {
        if (!this.#served) this.#serving.reject(error);
        else this.#log.error({ err: errorToData(error).message }, 'agent thread could not start again');
      },
    );
  }

  #serve(life: AgentLife): void {
    const { index, loops } = this.#options;
    if (this.#state.name !== 'starting' || this.#state.life !== life) return; // the thread has ended meanwhile
    this.#watch = loops.watch(agentSlot(index), (hungMs) => this.#hangs(life, hungMs), {
      onSlow: () => this.#options.host.onSlow?.(index),
    });
    this.#state = { name: 'ready', life, since: Date.now() };
    this.#serving.resolve(life.channel);
    if (this.#served) {
      this.#log.info({ downMs: Math.round(performance.now() - this.#downSince) }, 'agent thread serves again');
      void this.#tellRestarted(life.channel);
    }
    this.#served = true;
  }

  async #tellRestarted(channel: AgentChannel): Promise<void> {
    const { index, host } = this.#options;
    try {
      await host.onRestarted?.(index, channel);
    } catch (error) {
      this.#log.error(
        { err: errorToData(error).message },
        'an agent thread’s sessions could not be resumed after its restart',
      );
    }
  }

  /** Ends a thread that serves; another one starts in its place. */
  replace(): void {
    if (this.#state.name === 'ready' && !this.#closing) this.#endLife(this.#state.life);
  }

  #hangs(life: AgentLife, hungMs: number): void {
    this.#log.error({ hungMs }, 'agent thread hangs; ending it');
    this.#endLife(life);
  }

  /** Requests wait for the next thread from now on. */
  #endLife(life: AgentLife): void {
    this.#goesDown();
    if (this.#state.name === 'ready') this.#state = { name: 'ending', life };
    void life.worker.terminate();
  }

  #goesDown(): void {
    if (this.#state.name !== 'ready') return;
    this.#serving = pending<AgentChannel>();
    this.#downSince = performance.now();
    if (Date.now() - this.#state.since > HEALTHY_AFTER_MS) this.#ends = 0;
  }

  #ended(code: number, fault: Error | undefined): void {
    this.#goesDown();
    this.#watch?.end();
    this.#watch = undefined;
    this.#options.host.onEnded?.(this.#options.index);
    // The boot reports a first start that fails; only a thread that has served restarts.
    if (this.#closing || !this.#served) return this.#stop(fault);
    const delayMs = this.#ends === 0 ? 0 : backoffMs(this.#ends, BACKOFF);
    this.#ends++;
    this.#log.error(
      { code, err: fault?.message, errCode: codeOf(fault), stack: fault?.stack, delayMs },
      'agent thread ended; starting it again',
    );
    this.#state = { name: 'waiting', timer: setTimeout(() => this.#launch(), delayMs) };
  }

  #stop(fault?: Error): void {
    this.#state = { name: 'stopped' };
    this.#serving.reject(fault ?? stoppedError());
  }

  #wait(): Promise<AgentChannel> {
    const { restartWaitMs = RESTART_WAIT_MS } = this.#options;
    return withDeadline({ timeoutMs: restartWaitMs, late: restartingError }, () => this.#serving.promise);
  }
}

function restartingError(): FairleadError {
  return new FairleadError('ERR_UNAVAILABLE', 'the thread behind this request is restarting', {
    retryAfterMs: RETRY_MS,
  });
}

function stoppedError(): FairleadError {
  return new FairleadError('ERR_CHANNEL_CLOSED', 'the agent thread is stopped', { retryAfterMs: RETRY_MS });
}

/** Node's code, for example ERR_WORKER_OUT_OF_MEMORY. */
function codeOf(fault: Error | undefined): unknown {
  return fault && 'code' in fault ? fault.code : undefined;
}
