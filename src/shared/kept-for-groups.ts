/** Servers and models that the configuration keeps for groups: who sees them. Pure; every thread. */
import type { McpServerConfig, McpServerConfigs } from './config-mcp.js';
import type { Config } from './config.js';
import { FairleadError } from './errors.js';
import { standingOf, type Standing } from './person.js';

type Who = Standing | undefined;

/** False for a server that is not there, too: whoever does not see it cannot tell the difference. */
export function seesServer(servers: McpServerConfigs, name: string, who: Who): boolean {
  const keepers = keepersOf(servers, name);
  return keepers?.every(({ groups }) => isMember(groups, who)) ?? false;
}

/** The answer about a server that is not there, and about one that the caller does not see. */
export function noSuchServer(name: string): FairleadError {
  return new FairleadError('ERR_NOT_FOUND', `the configuration has no MCP server ${name}`);
}

/** Names of the servers that not everybody sees. */
export function keptServers(servers: McpServerConfigs): string[] {
  return Object.keys(servers).filter((name) => keepersOf(servers, name)?.some(({ groups }) => groups !== undefined));
}

export function mayUseModel({ groups }: Pick<Config['model'], 'groups'>, model: string, who: Who): boolean {
  return !Object.hasOwn(groups, model) || isMember(groups[model], who);
}

/** The names of the images that the user may choose. */
export function usableImages(images: Config['images'], who: Who): string[] {
  return Object.keys(images).filter((name) => isMember(images[name]!.groups, who));
}

export function modelRefusal(model: string): string {
  return `the model ${model} is not one that this user may use`;
}

/** The server, and the one in whose sandbox it runs. */
function keepersOf(servers: McpServerConfigs, name: string): McpServerConfig[] | undefined {
  if (!Object.hasOwn(servers, name)) return undefined;
  const server = servers[name]!;
  const around = 'sandbox' in server && server.sandbox !== undefined ? servers[server.sandbox] : undefined;
  return around ? [server, around] : [server];
}

function isMember(groups: readonly string[] | undefined, who: Who): boolean {
  if (groups === undefined) return true;
  const mine = standingOf(who).groups;
  return groups.some((group) => mine.includes(group));
}
