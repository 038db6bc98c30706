/** Routes of /v1/mcp…: the configured MCP servers, their health, tools, prompts and resources. Main thread. */
import { z } from 'zod';
import type { McpRequest, ServerStatus } from '../../../workers/agent/contract/mcp.js';
import { noSuchServer } from '../../shared/kept-for-groups.js';
import type { Who } from '../../shared/person.js';
import type { Agents } from '../../threads/agents.js';
import { badFrame, noBody } from '../frames.js';
import { get, post, type Route, type RouteCall } from '../router.js';
import { toSessionId } from '../session-id.js';

/** Longer than other requests, since a server may have to be started or a login renewed first. */
const SERVER_TIMEOUT_MS = 60_000;

/** What the main thread knows of the servers, from all threads. */
export interface McpAdmin {
  /** Never starts a server. */
  health(user: string, who: Who): Promise<ServerStatus[]>;
  /** Has its tools listed again, soon. */
  refresh(server: string): void;
}

const promptBody = z.strictObject({ arguments: z.record(z.string(), z.string()).default({}) });

/** The part of an McpRequest that the route knows. */
type McpMethod = McpRequest extends infer R
  ? R extends McpRequest
    ? Omit<R, 'user' | 'who' | 'session' | 'server'>
    : never
  : never;

export function serverRoutes({ agents, mcp }: { agents: Agents; mcp: McpAdmin }): Route[] {
  const ask = async (call: RouteCall, asked: McpMethod): Promise<void> => {
    const { user, who, query } = call;
    const session = query.get('session') ? toSessionId(query.get('session')!) : undefined;
    const request = {
      ...asked,
      user,
      who,
      server: call.params['server']!,
      ...(session === undefined ? {} : { session }),
    };
    const answer = await agents.request(session ?? user, 'mcp-request', request, { timeoutMs: SERVER_TIMEOUT_MS });
    call.exchange.json(200, answer);
  };

  return [
    get('/v1/mcp', async ({ exchange, user, who }) => exchange.json(200, { servers: await mcp.health(user, who) })),
    get('/v1/mcp/:server', async ({ exchange, user, who, params }) => {
      exchange.json(200, named(await mcp.health(user, who), params['server']!));
    }),
    post('/v1/mcp/:server/test', noBody, async ({ exchange, user, who, params }) => {
      const server = params['server']!;
      const tested = await agents.request(user, 'mcp-test', { user, who, server }, { timeoutMs: SERVER_TIMEOUT_MS });
      mcp.refresh(server);
      exchange.json(200, { name: server, ...tested });
    }),
    get('/v1/mcp/:server/prompts', (call) => ask(call, { method: 'prompts/list' })),
    post('/v1/mcp/:server/prompts/:prompt', promptBody, (call, body) =>
      ask(call, { method: 'prompts/get', name: call.params['prompt']!, args: body.arguments }),
    ),
    get('/v1/mcp/:server/resources', (call) => ask(call, { method: 'resources/list' })),
    get('/v1/mcp/:server/resources/read', (call) => {
      const uri = call.query.get('uri') ?? '';
      if (uri === '') throw badFrame('uri: is missing');
      return ask(call, { method: 'resources/read', uri });
    }),
  ];
}

function named(servers: readonly ServerStatus[], name: string): ServerStatus {
  const server = servers.find((each) => each.name === name);
  if (!server) throw noSuchServer(name);
  return server;
}
