/** The agent threads: a request goes to the thread that owns its session. Main thread. */
import type { AgentRequestName, Agents } from '../front/agents.js';
import type { Logger } from '../log.js';
import type { AgentContract, AgentWorkerData } from '../../workers/agent/messages.js';
import { threadOf } from './route.js';
import { AgentSupervisor, type AgentHost } from './supervisor.js';

type Requests = AgentContract['requests'];

// dist/src/threads/agent-pool.js → dist/workers/agent/index.js
const WORKER = new URL('../../workers/agent/index.js', import.meta.url);

export class AgentPool implements Agents {
  readonly #threads: AgentSupervisor[];

  constructor(data: Omit<AgentWorkerData, 'index'>, host: AgentHost, log: Logger) {
    this.#threads = Array.from(
      { length: data.threads },
      (_, index) => new AgentSupervisor(WORKER, { ...data, index }, host, log),
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
  }

  async request<K extends AgentRequestName>(
    session: string,
    name: K,
    body: Requests[K]['request'],
    options: { timeoutMs?: number } = {},
  ): Promise<Requests[K]['result']> {
    const thread = this.#threads[threadOf(session, this.#threads.length)]!;
    const channel = await thread.channel();
    return channel.request(name, body, options);
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
    await Promise.all(this.#threads.map((thread) => thread.close(deadlineMs)));
  }
}
