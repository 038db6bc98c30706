/** The tools of the configured MCP servers, looked at once at the boot. Main thread. */
import type { Catalogue } from '../workers/agent/messages.js';
import type { Config } from './config.js';
import { errorToData, FairleadError } from './errors.js';
import type { AgentPool } from './threads/agent-pool.js';

/**
 * Each server in a sandbox of its own, which is given back; from then on its tools are known without one, also to agent
 * threads that are started again. ERR_START names the server.
 */
export async function readCatalogue(config: Config, agents: AgentPool): Promise<Catalogue> {
  const looked = await Promise.all(
    Object.entries(config.mcpServers).map(async ([name, server]) => {
      try {
        const { tools } = await agents.request(`probe:${name}`, 'probe-server', { name, server });
        return [name, tools] as const;
      } catch (error) {
        const { code, message } = errorToData(error);
        throw new FairleadError('ERR_START', `mcpServers.${name}: ${message} (${code})`, { cause: error });
      }
    }),
  );
  return Object.fromEntries(looked);
}
