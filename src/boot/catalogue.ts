/** Lists the tools of the MCP servers that run in sandboxes, once at the boot. Main thread. */
import type { ServerListing } from '../../workers/agent/contract/mcp.js';
import { isImageServer, serversOf } from '../shared/config-mcp.js';
import type { Config } from '../shared/config.js';
import { errorToData, FairleadError } from '../shared/errors.js';
import type { DockerPool } from '../threads/docker-pool.js';

/** Asks the first sandbox of each image, so that agent threads know the tools without a sandbox. ERR_START names the server. */
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
