/** The agent threads as the front sees them: each request finds its thread by the session. Main thread; types only. */
import type { AgentContract } from '../../workers/agent/contract/messages.js';

export type AgentRequests = AgentContract['requests'];
export type AgentRequestName = Extract<keyof AgentRequests, string>;
export type AgentNotificationName = Extract<keyof AgentContract['notifications'], string>;

export interface Agents {
  /**
   * Asks the thread that owns `session` by a stable hash. Rejects with the handler's code, ERR_CHANNEL_TIMEOUT, or
   * ERR_UNAVAILABLE when the thread dies before it answers or is not back in time.
   */
  request<K extends AgentRequestName>(
    session: string,
    name: K,
    body: AgentRequests[K]['request'],
    options?: { timeoutMs?: number },
  ): Promise<AgentRequests[K]['result']>;
}
