/** Answers the main thread's requests about /mcp. Agent threads. */
import type { RequestHandlers } from '../../../src/shared/threads/channel.js';
import type { AgentContract } from '../contract/messages.js';
import type { ServingDoor } from './serving-door.js';

export function servingRequests(
  serving: ServingDoor,
): Pick<RequestHandlers<AgentContract>, 'mcp-exchange' | 'mcp-abort'> {
  return {
    'mcp-exchange': (exchange) => serving.exchange(exchange),
    'mcp-abort': ({ exchange }) => {
      serving.abort(exchange);
      return null;
    },
  };
}
