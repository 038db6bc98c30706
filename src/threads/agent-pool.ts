/** The agent threads: a request goes to the thread that owns its session. Main thread. */
import { Worker } from 'node:worker_threads';
import { FairleadError, isFairleadError } from '../shared/errors.js';
import type { AgentRequestName, Agents } from './agents.js';
import type { Logger } from '../shared/log.js';
import type { AgentContract } from '../../workers/agent/contract/messages.js';
import type { AgentWorkerData } from '../../workers/agent/contract/lifecycle.js';
import type { AgentHost } from './agent-life.js';
import type { LoopWatch } from '../shared/threads/loop-watch.js';
import { threadOf } from '../shared/threads/route.js';
import { SpareAgent } from './spare-agent.js';
import { AgentSupervisor } from './supervisor.js';

type Requests = AgentContract['requests'];

// dist/src/threads/agent-pool.js → dist/workers/agent/
const DOORWAY = new URL('../../workers/agent/index.js', import.meta.url);
const SPARE = new URL('../../workers/agent/spare.js', import.meta.url);
const RETRY_MS = 1_000;

export class AgentPool implements Agents {
  readonly #threads: AgentSupervisor[];
  readonly #spare: SpareAgent | undefined;

  constructor(data: Omit<AgentWorkerData, 'index'>, host: AgentHost, log: Logger, loops: LoopWatch) {
    const { maxHeapMb, spare } = data.config.agents;
    const resourceLimits = maxHeapMb === 0 ? {} : { maxOldGenerationSizeMb: maxHeapMb };
    if (spare) {
      const workerData: AgentWorkerData = { ...data, index: -1 };
      const spawn = (): Worker => new Worker(SPARE, { workerData, resourceLimits, name: 'agent-spare' });
      this.#spare = new SpareAgent({ spawn, log });
    }
    const spawn = (index: number, again: boolean): Worker => {
      const workerData: AgentWorkerData = { ...data, index };
      const spared = again ? this.#spare?.take(index) : undefined;
      return spared ?? new Worker(DOORWAY, { workerData, resourceLimits, name: `agent-${index}` });
    };
    const onRestarted: AgentHost['onRestarted'] = (index, channel) => {
      this.#spare?.prepare();
      return host.onRestarted?.(index, channel);
    };
    this.#threads = Array.from(
      { length: data.threads },
      (_, index) => new AgentSupervisor({ index, host: { ...host, onRestarted }, log, loops, spawn }),
    );
  }

  get size(): number {
    return this.#threads.length;
  }

  get alive(): number {
    return this.#threads.filter((thread) => thread.alive).length;
  }

  /** All threads serve, or the first error. */
  async start(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.start()));
    this.#spare?.prepare();
  }

  /**
   * A request that comes while its thread is started again waits for it. ERR_UNAVAILABLE when that takes too long, and when
   * the thread dies before it has answered: nobody knows then whether it was done.
   */
  async request<K extends AgentRequestName>(
    session: string,
    name: K,
    body: Requests[K]['request'],
    options: { timeoutMs?: number } = {},
  ): Promise<Requests[K]['result']> {
    const thread = this.#threads[threadOf(session, this.#threads.length)]!;
    try {
      const channel = await thread.channel();
      return await channel.request(name, body, options);
    } catch (error) {
      if (!isFairleadError(error, 'ERR_CHANNEL_CLOSED')) throw error;
      throw new FairleadError('ERR_UNAVAILABLE', 'the thread behind this request has gone before it answered', {
        cause: error,
        retryAfterMs: error.retryAfterMs ?? RETRY_MS,
      });
    }
  }

  /** The same request to every thread that is up, each with its own outcome. */
  each<K extends AgentRequestName>(
    name: K,
    body: Requests[K]['request'],
    options: { timeoutMs?: number } = {},
  ): Promise<Requests[K]['result']>[] {
    return this.#threads
      .filter((thread) => thread.alive)
      .map(async (thread) => (await thread.channel()).request(name, body, options));
  }

  async close(deadlineMs: number): Promise<void> {
    await this.#spare?.close();
    await Promise.all(this.#threads.map((thread) => thread.close(deadlineMs)));
  }
}
