/** Names of Fairlead's own tools, by which the rules know them. Pure; every thread. */

/** Their server name in events and rules. The configuration refuses such a name. */
export const BUILT_IN = '@fairlead';

export const SEARCH_TOOLS = 'search_tools';
export const LIST_RESOURCES = 'list_resources';
export const READ_RESOURCE = 'read_resource';
export const RESTART_SANDBOX = 'restart_sandbox';
export const CONNECT = 'connect_';

/** The server that this tool logs in to; undefined for another tool. */
export function connectsTo(name: string): string | undefined {
  return name.startsWith(CONNECT) ? name.slice(CONNECT.length) : undefined;
}
