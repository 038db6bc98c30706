/** What the front knows of the agent threads: a request finds its thread by session. Main thread; types only. */
import type { AgentContract } from '../../workers/agent/contract/messages.js';

export type AgentRequests = AgentContract['requests'];
export type AgentRequestName = Extract<keyof AgentRequests, string>;

export interface Agents {
  /** To the thread that owns `session`, by a stable hash. Rejects with the handler's code, ERR_UNAVAILABLE when its thread dies over it and does not come back, ERR_CHANNEL_TIMEOUT. */
  request<K extends AgentRequestName>(
    session: string,
    name: K,
    body: AgentRequests[K]['request'],
    options?: { timeoutMs?: number },
  ): Promise<AgentRequests[K]['result']>;
}
