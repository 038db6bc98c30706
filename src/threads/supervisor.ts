/** One agent thread under supervision: started, its end noticed, started again with backoff. Main thread. */
import { Worker } from 'node:worker_threads';
import { FairleadError, type ErrorCode } from '../errors.js';
import type { Logger } from '../log.js';
import type { AgentContract, AgentHostContract, AgentWorkerData } from '../../workers/agent/messages.js';
import { Channel, type NotificationHandlers, type RequestHandlers } from './channel.js';

const START_TIMEOUT_MS = 30_000;
const BACKOFF_MIN_MS = 100;
const BACKOFF_MAX_MS = 5_000;
/** A thread that has lived this long starts again without delay. */
const HEALTHY_AFTER_MS = 60_000;

export type AgentChannel = Channel<AgentHostContract, AgentContract>;

export interface AgentHost {
  requests: RequestHandlers<AgentHostContract>;
  notifications: Omit<NotificationHandlers<AgentHostContract>, 'ready' | 'start-failed'>;
  /** Runs before a (re)started thread serves anyone. */
  prepare: (channel: AgentChannel) => Promise<void>;
}

type State =
  | { name: 'stopped' }
  | { name: 'starting'; ready: Promise<AgentChannel> }
  | { name: 'ready'; channel: AgentChannel; worker: Worker; since: number }
  | { name: 'waiting'; timer: NodeJS.Timeout; error: FairleadError };

export class AgentSupervisor {
  readonly #url: URL;
  readonly #data: AgentWorkerData;
  readonly #host: AgentHost;
  readonly #log: Logger;
  #state: State = { name: 'stopped' };
  #backoffMs = BACKOFF_MIN_MS;
  #closing = false;
  #served = false;
  #ended: Promise<void> = Promise.resolve();

  constructor(url: URL, data: AgentWorkerData, host: AgentHost, log: Logger) {
    this.#url = url;
    this.#data = data;
    this.#host = host;
    this.#log = log.child({ agent: data.index });
  }

  get alive(): boolean {
    return this.#state.name === 'ready';
  }

  /** ERR_START with the thread's own words when its store or model cannot be used. */
  async start(): Promise<void> {
    await this.#launch();
  }

  /** The channel when the thread serves; one that is starting is waited for; ERR_CHANNEL_CLOSED while it is down. */
  channel(): AgentChannel | Promise<AgentChannel> {
    switch (this.#state.name) {
      case 'ready':
        return this.#state.channel;
      case 'starting':
        return this.#state.ready;
      case 'waiting':
        throw this.#state.error;
      case 'stopped':
        throw new FairleadError('ERR_CHANNEL_CLOSED', 'the agent thread is stopped');
    }
  }

  /** Ends the thread: it closes its store and goes; one that does not is terminated at the deadline. */
  async close(deadlineMs: number): Promise<void> {
    this.#closing = true;
    const state = this.#state;
    if (state.name === 'waiting') clearTimeout(state.timer);
    if (state.name === 'starting') await state.ready.catch(() => undefined);
    if (this.#state.name !== 'ready') return;
    const { channel, worker } = this.#state;
    channel.notify('close', {});
    const timer = setTimeout(() => void worker.terminate(), deadlineMs);
    await this.#ended;
    clearTimeout(timer);
  }

  #launch(): Promise<AgentChannel> {
    const worker = new Worker(this.#url, { workerData: this.#data, name: `agent-${this.#data.index}` });
    const channel: AgentChannel = new Channel(worker);
    let settle: { resolve: () => void; reject: (error: Error) => void } | undefined;
    const served = new Promise<void>((resolve, reject) => {
      settle = { resolve, reject };
    });
    const timer = setTimeout(() => {
      settle?.reject(new FairleadError('ERR_START', `agent thread ${this.#data.index} did not start in time`));
      void worker.terminate();
    }, START_TIMEOUT_MS);
    channel.handle(this.#host.requests, {
      ...this.#host.notifications,
      ready: () => settle?.resolve(),
      'start-failed': ({ code, message }) => settle?.reject(new FairleadError(code as ErrorCode, message)),
    });
    let fault: Error | undefined;
    worker.on('error', (error) => {
      fault = error;
    });
    this.#ended = new Promise((resolve) => {
      worker.once('exit', (code) => {
        const error = new FairleadError('ERR_CHANNEL_CLOSED', 'the agent thread has ended', { retryAfterMs: 1_000 });
        settle?.reject(fault ?? error);
        channel.close(error);
        this.#lost(worker, code, fault, error);
        resolve();
      });
    });
    const ready = served
      .then(() => this.#host.prepare(channel))
      .then(() => {
        this.#state = { name: 'ready', channel, worker, since: Date.now() };
        this.#served = true;
        return channel;
      })
      .finally(() => clearTimeout(timer));
    this.#state = { name: 'starting', ready };
    ready.catch(() => undefined); // told to whoever asked; the exit handler takes it from here
    return ready;
  }

  #lost(worker: Worker, code: number, fault: Error | undefined, error: FairleadError): void {
    const state = this.#state;
    if (this.#closing) {
      this.#state = { name: 'stopped' };
      return;
    }
    // A first start that fails is the boot's to report; only a thread that has served is started again.
    if (!this.#served) {
      this.#state = { name: 'stopped' };
      return;
    }
    if (state.name === 'ready' && state.worker === worker && Date.now() - state.since > HEALTHY_AFTER_MS) {
      this.#backoffMs = BACKOFF_MIN_MS;
    }
    const delayMs = this.#backoffMs;
    this.#backoffMs = Math.min(this.#backoffMs * 2, BACKOFF_MAX_MS);
    this.#log.error(
      { code, err: fault?.message, stack: fault?.stack, delayMs },
      'agent thread ended; starting it again',
    );
    this.#state = { name: 'waiting', error, timer: setTimeout(() => void this.#launch(), delayMs) };
  }
}
