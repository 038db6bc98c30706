/** Logins between the threads: who asks for a user's token is led to the thread that keeps it. Main thread. */
import type { AgentHostContract } from '../../workers/agent/contract/messages.js';
import type { LoginHostRequests } from '../../workers/agent/contract/logins.js';
import { FairleadError } from '../shared/errors.js';
import type { Agents } from '../threads/agents.js';
import type { OAuthIdentity } from '../shared/oauth-identity.js';
import type { RequestHandlers } from '../shared/threads/channel.js';

/** A little less than whoever asked waits for its answer. */
const LOGIN_TIMEOUT_MS = 95_000;
/** A person's time, and ours. */
const LOGIN_END_TIMEOUT_MS = 690_000;

type Handled = Extract<keyof LoginHostRequests, string>;

/** `identity` is undefined until the server listens: nobody could come back before. */
export function loginHost(
  agents: () => Agents,
  identity: () => OAuthIdentity | undefined,
): Pick<RequestHandlers<AgentHostContract>, Handled> {
  return {
    'mcp-token': (request) => agents().request(request.user, 'mcp-token', request, { timeoutMs: LOGIN_TIMEOUT_MS }),
    'mcp-login': (request) => {
      const ours = identity();
      if (!ours) throw new FairleadError('ERR_UNAVAILABLE', 'the server is still starting', { retryAfterMs: 1_000 });
      return agents().request(
        request.user,
        'mcp-login',
        { ...request, identity: ours },
        { timeoutMs: LOGIN_TIMEOUT_MS },
      );
    },
    'mcp-login-end': (request) =>
      agents().request(request.user, 'mcp-login-end', request, { timeoutMs: LOGIN_END_TIMEOUT_MS }),
  };
}
