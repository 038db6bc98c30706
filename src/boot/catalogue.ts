/** The tools of the MCP servers that run in sandboxes, asked for once at the boot. Main thread. */
import type { ServerListing } from '../../workers/agent/contract/mcp.js';
import { isImageServer, serversOf } from '../shared/config-mcp.js';
import type { Config } from '../shared/config.js';
import { errorToData, FairleadError } from '../shared/errors.js';
import type { DockerPool } from '../threads/docker-pool.js';

/** From the first sandbox of each image; agent threads know them from then on without one. ERR_START names the server. */
export function readCatalogue(config: Config, docker: DockerPool): Promise<ServerListing[]> {
  return Promise.all(
    serversOf(config.mcpServers, isImageServer).map(async ([server]) => {
      try {
        const { tools, resources = false, prompts = false } = await docker.run('read-tools', { server });
        return { server, tools, ...(resources ? { resources } : {}), ...(prompts ? { prompts } : {}) };
      } catch (error) {
        const { code, message } = errorToData(error);
        throw new FairleadError('ERR_START', `mcpServers.${server}: ${message} (${code})`, { cause: error });
      }
    }),
  );
}
