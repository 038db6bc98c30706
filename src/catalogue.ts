/** The tools of the configured MCP servers, asked for once at the boot. Main thread. */
import type { Catalogue } from '../workers/agent/messages.js';
import type { Config } from './config.js';
import { errorToData, FairleadError } from './errors.js';
import type { DockerPool } from './threads/docker-pool.js';

/** From the first sandbox of each image; agent threads know them from then on without one. ERR_START names the server. */
export async function readCatalogue(config: Config, docker: DockerPool): Promise<Catalogue> {
  const read = await Promise.all(
    Object.keys(config.mcpServers).map(async (server) => {
      try {
        const { tools } = await docker.run('read-tools', { server });
        return [server, tools] as const;
      } catch (error) {
        const { code, message } = errorToData(error);
        throw new FairleadError('ERR_START', `mcpServers.${server}: ${message} (${code})`, { cause: error });
      }
    }),
  );
  return Object.fromEntries(read);
}
