/** What the front knows of the agent threads: a request finds its thread by session. Main thread; types only. */
import type { AgentContract } from '../../workers/agent/contract/messages.js';

type Requests = AgentContract['requests'];
export type AgentRequestName = Extract<keyof Requests, string>;

export interface Agents {
  /** To the thread that owns `session`, by a stable hash. Rejects with the handler's code, ERR_UNAVAILABLE when its thread dies over it and does not come back, ERR_CHANNEL_TIMEOUT. */
  request<K extends AgentRequestName>(
    session: string,
    name: K,
    body: Requests[K]['request'],
    options?: { timeoutMs?: number },
  ): Promise<Requests[K]['result']>;
}
