/** Runs the agent threads, and sends each request to the thread that owns its session. Main thread. */
import { Worker } from 'node:worker_threads';
import { errorToData, FairleadError, isFairleadError } from '../shared/errors.js';
import type { Config } from '../shared/config.js';
import type { AgentContract } from '../../workers/agent/contract/messages.js';
import type { AgentNotificationName, AgentRequestName, AgentRequests, Agents } from './agents.js';
import type { Logger } from '../shared/log.js';
import type { AgentWorkerData, SetConfigRequest } from '../../workers/agent/contract/lifecycle.js';
import type { AgentHost } from './agent-life.js';
import type { LoopWatch } from '../shared/threads/loop-watch.js';
import { forgetThread } from '../shared/threads/shared-slots.js';
import { threadOf } from '../shared/threads/route.js';
import { SlotPlaces } from './slot-places.js';
import { SpareAgent } from './spare-agent.js';
import { AgentSupervisor } from './supervisor.js';

// dist/src/threads/agent-pool.js → dist/workers/agent/
const DOORWAY = new URL('../../workers/agent/index.js', import.meta.url);
const SPARE = new URL('../../workers/agent/spare.js', import.meta.url);
const RETRY_MS = 1_000;
/** How long a thread that has started may take to close when another one could not start. */
const CLOSE_MS = 5_000;

/** The workerData that all agent threads share; each starts with the configuration of its start. */
export type AgentPoolData = Omit<AgentWorkerData, 'index' | 'config' | 'slots'> & { config: () => Config };

export class AgentPool implements Agents {
  readonly #data: AgentPoolData;
  readonly #log: Logger;
  readonly #loops: LoopWatch;
  readonly #spare: SpareAgent | undefined;
  readonly #slots: SlotPlaces;
  /** Empty until `start`. */
  #threads: AgentSupervisor[] = [];

  constructor(data: AgentPoolData, log: Logger, loops: LoopWatch) {
    this.#data = data;
    this.#log = log;
    this.#loops = loops;
    const config = data.config();
    this.#slots = new SlotPlaces(config.mcpServers, data.threads);
    const spawn = (): Worker => this.#spawn(SPARE, -1, 'agent-spare');
    if (config.agents.spare) this.#spare = new SpareAgent({ spawn, now: () => this.#now(), log });
  }

  get size(): number {
    return this.#data.threads;
  }

  get alive(): number {
    return this.#threads.filter((thread) => thread.alive).length;
  }

  /**
   * Resolves when all threads serve. Rejects with the first error, once all have ended; then it may be called again. `host`
   * answers what they ask.
   */
  async start(host: AgentHost): Promise<void> {
    const spawn = (index: number, again: boolean): Worker => {
      if (again) forgetThread(this.#slots.memory, index, this.size);
      const spared = again ? this.#spare?.take(index) : undefined;
      return spared ?? this.#spawn(DOORWAY, index, `agent-${index}`);
    };
    const onRestarted: AgentHost['onRestarted'] = (index, channel) => {
      this.#spare?.prepare();
      return host.onRestarted?.(index, channel);
    };
    const each = { host: { ...host, onRestarted }, log: this.#log, loops: this.#loops, spawn };
    this.#threads = Array.from({ length: this.size }, (_, index) => new AgentSupervisor({ index, ...each }));
    try {
      await Promise.all(this.#threads.map((thread) => thread.start()));
    } catch (error) {
      await Promise.all(this.#threads.map((thread) => thread.close(CLOSE_MS)));
      this.#threads = [];
      throw error;
    }
    this.#spare?.prepare();
  }

  /**
   * A request waits while its thread restarts. ERR_UNAVAILABLE when that takes too long, and when the thread dies before it
   * has answered: then it is unknown whether the request was done.
   */
  async request<K extends AgentRequestName>(
    session: string,
    name: K,
    body: AgentRequests[K]['request'],
    options: { timeoutMs?: number } = {},
  ): Promise<AgentRequests[K]['result']> {
    const thread = this.#threads[threadOf(session, this.size)];
    if (!thread) {
      throw new FairleadError('ERR_UNAVAILABLE', 'the server is still starting', { retryAfterMs: RETRY_MS });
    }
    try {
      const channel = await thread.channel();
      return await channel.request(name, body, options);
    } catch (error) {
      if (!isFairleadError(error, 'ERR_CHANNEL_CLOSED')) throw error;
      throw new FairleadError('ERR_UNAVAILABLE', 'the thread behind this request has died before it answered', {
        cause: error,
        retryAfterMs: error.retryAfterMs ?? RETRY_MS,
      });
    }
  }

  /** Asks one thread; undefined when it does not serve. ERR_CHANNEL_TIMEOUT, ERR_CHANNEL_CLOSED, the handler's code. */
  async ask<K extends AgentRequestName>(
    index: number,
    name: K,
    body: AgentRequests[K]['request'],
    options: { timeoutMs?: number } = {},
  ): Promise<AgentRequests[K]['result'] | undefined> {
    const thread = this.#threads[index];
    if (!thread?.alive) return undefined;
    return (await thread.channel()).request(name, body, options);
  }

  /** Ends the thread and starts another in its place; its turns go on there from the store. */
  replace(index: number): void {
    this.#threads[index]?.replace();
  }

  /** Sends the same request to every live thread; each has its own outcome. */
  each<K extends AgentRequestName>(
    name: K,
    body: AgentRequests[K]['request'],
    options: { timeoutMs?: number } = {},
  ): Promise<AgentRequests[K]['result']>[] {
    return this.#threads
      .filter((thread) => thread.alive)
      .map(async (thread) => (await thread.channel()).request(name, body, options));
  }

  /** Tells one thread; one that does not serve is not told. */
  notify<K extends AgentNotificationName>(index: number, name: K, body: AgentContract['notifications'][K]): void {
    this.#threads[index]?.notify(name, body);
  }

  /** What counts now, for a thread. */
  newest(generation: number): SetConfigRequest {
    const { config, slots } = this.#now();
    return { generation, config, places: slots.places };
  }

  /**
   * Every live thread gets the configuration; one that does not take it in time is ended, and its successor starts with the newest. Resolves
   * with the numbers of those that were ended.
   */
  async setConfig(generation: number, timeoutMs: number): Promise<number[]> {
    const request = this.newest(generation);
    const taking = this.#threads.map(async (thread, index) => {
      if (!thread.alive) return []; // it starts with the newest
      try {
        await (await thread.channel()).request('set-config', request, { timeoutMs });
        return [];
      } catch (error) {
        if (isFairleadError(error, 'ERR_CHANNEL_CLOSED')) return []; // it has ended, and its successor has the newest
        this.#log.error(
          { agent: index, err: errorToData(error).message },
          'agent thread took no configuration: replacing it',
        );
        thread.replace();
        return [index];
      }
    });
    return (await Promise.all(taking)).flat();
  }

  async close(deadlineMs: number): Promise<void> {
    await this.#spare?.close();
    await Promise.all(this.#threads.map((thread) => thread.close(deadlineMs)));
  }

  #spawn(file: URL, index: number, name: string): Worker {
    const now = this.#now();
    const { maxHeapMb } = now.config.agents;
    const resourceLimits = maxHeapMb === 0 ? {} : { maxOldGenerationSizeMb: maxHeapMb };
    const workerData: AgentWorkerData = { ...this.#data, ...now, index };
    return new Worker(file, { workerData, resourceLimits, name });
  }

  #now(): Pick<AgentWorkerData, 'config'> & Required<Pick<AgentWorkerData, 'slots'>> {
    const config = this.#data.config();
    const { memory } = this.#slots;
    return { config, slots: { memory, places: this.#slots.of(config.mcpServers) } };
  }
}
