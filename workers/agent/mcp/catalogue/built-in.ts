/** Fairlead's own tools: to find tools, to read resources, to log in, to restart a sandbox. Definitions only; agent threads. */
import {
  CONNECT,
  LIST_RESOURCES,
  READ_RESOURCE,
  RESTART_SANDBOX,
  SEARCH_TOOLS,
} from '../../../../src/shared/policy/built-in-tools.js';
import type { ToolDefinition } from '../../../../src/shared/tool-definition.js';

export {
  BUILT_IN,
  connectsTo,
  LIST_RESOURCES,
  READ_RESOURCE,
  RESTART_SANDBOX,
  SEARCH_TOOLS,
} from '../../../../src/shared/policy/built-in-tools.js';

export const DEFAULT_FOUND = 5;
const MAX_FOUND = 20;

export interface DeferredServer {
  server: string;
  tools: number;
}

export function searchTools(deferred: readonly DeferredServer[]): ToolDefinition {
  const servers = deferred.map(({ server, tools }) => `${server} (${tools})`).join(', ');
  return {
    name: SEARCH_TOOLS,
    description:
      `Finds tools that are not listed here. Servers with such tools, and how many: ${servers}. ` +
      'Say in a few words what you want to do; the tools that are found can be called from then on.',
    inputSchema: {
      type: 'object',
      properties: {
        query: { type: 'string', minLength: 1, maxLength: 500, description: 'Words for what the tool should do' },
        limit: {
          type: 'integer',
          minimum: 1,
          maximum: MAX_FOUND,
          description: `How many; ${DEFAULT_FOUND} unless told`,
        },
      },
      required: ['query'],
      additionalProperties: false,
    },
    readOnly: true,
  };
}

const SERVER = { type: 'string', minLength: 1, maxLength: 64 };

/** `servers`: the servers with resources. */
export function resourceTools(servers: readonly string[]): ToolDefinition[] {
  const named = servers.join(', ');
  return [
    {
      name: LIST_RESOURCES,
      description: `Lists the resources (files, records, documents) and resource templates of MCP servers. Servers that have any: ${named}.`,
      inputSchema: {
        type: 'object',
        properties: {
          server: { ...SERVER, description: 'Only this server’s' },
          offset: { type: 'integer', minimum: 1, description: 'First one to list of each server, from 1' },
        },
        additionalProperties: false,
      },
      readOnly: true,
    },
    {
      name: READ_RESOURCE,
      description: `Reads one resource of an MCP server by its URI. Servers that have any: ${named}.`,
      inputSchema: {
        type: 'object',
        properties: {
          server: { ...SERVER, description: 'The server that has it' },
          uri: { type: 'string', minLength: 1, maxLength: 4096, description: 'As listed, or made from a template' },
        },
        required: ['server', 'uri'],
        additionalProperties: false,
      },
      readOnly: true,
    },
  ];
}

export const RESTART_TOOL: ToolDefinition = {
  name: RESTART_SANDBOX,
  description:
    'Restarts the sandbox of this session when nothing works in it any longer, for example when no process can be started. ' +
    'Files in the workspace stay; programs that run in it end.',
  inputSchema: { type: 'object', properties: {}, additionalProperties: false },
};

export function connectTool(server: string): ToolDefinition {
  return {
    name: `${CONNECT}${server}`,
    description:
      `The tools of the server ${server} can be used once the user has logged in there. ` +
      'Call this when the user wants something of it: the user is asked, and the tools are there when it is done.',
    inputSchema: { type: 'object', properties: {}, additionalProperties: false },
  };
}

/** Names that the model never knows a server's tool by, so that no tool is renamed when one of ours comes or goes. */
export function reservedNames(servers: readonly string[]): ReadonlySet<string> {
  return new Set([
    SEARCH_TOOLS,
    LIST_RESOURCES,
    READ_RESOURCE,
    RESTART_SANDBOX,
    ...servers.map((server) => `${CONNECT}${server}`),
  ]);
}
