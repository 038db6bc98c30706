/** Answers the main thread's requests about MCP servers: their tools, health, prompts and resources. Agent threads. */
import type { SessionRef } from '../contract/sessions.js';
import { isCommandServer, isImageServer, isUrlServer, serversOf } from '../../../src/shared/config-mcp.js';
import type { Config } from '../../../src/shared/config.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { noSuchServer, seesServer } from '../../../src/shared/kept-for-groups.js';
import type { Logger } from '../../../src/shared/log.js';
import type { Asker } from '../../../src/shared/policy/policy.js';
import type { ServerChanges } from '../../../src/shared/server-changes.js';
import type { Channel, RequestHandlers } from '../../../src/shared/threads/channel.js';
import { threadOf } from '../../../src/shared/threads/route.js';
import { admitRequest } from './calls/admit-request.js';
import type { Policy } from './calls/policy.js';
import type { Commands } from './command/commands.js';
import { listAll } from './catalogue/list-all.js';
import { NOBODY } from './catalogue/nobody.js';
import { ServerLister } from './catalogue/server-lister.js';
import { ServerLists } from './catalogue/server-lists.js';
import { HealthBook } from './catalogue/health-book.js';
import { ToolCatalogue } from './catalogue/tool-catalogue.js';
import type { Caller } from './host/server-connection.js';
import type { UrlPart } from './url-servers.js';
import type { McpServers } from './servers.js';
import type { AgentContract, AgentHostContract } from '../contract/messages.js';
import type { McpRequest } from '../contract/mcp.js';
import type { SessionTools } from './catalogue/session-tools.js';

/** Shorter than the main thread's deadline for all threads. */
const STATUS_WAIT_MS = 1_500;

type Handled = 'set-catalogue' | 'refresh-server' | 'mcp-status' | 'mcp-test' | 'mcp-request' | 'mcp-forget';

export interface McpPartOptions {
  config: Config;
  policy: Policy;
  index: number;
  threads: number;
  channel: Channel<AgentContract, AgentHostContract>;
  servers: McpServers;
  commands: Commands;
  remotes: UrlPart['remotes'];
  changed: SessionTools;
  log: Logger;
}

export interface McpPart {
  catalogue: ToolCatalogue;
  /** Forgets what is known of servers that are gone or changed, and lists those that are new or changed. */
  applyConfig(changes: ServerChanges): void;
  /** `checkOwner` rejects with ERR_NO_SUCH_SESSION for a session that is not the user's. */
  handlers(checkOwner: (of: SessionRef) => Promise<unknown>): Pick<RequestHandlers<AgentContract>, Handled>;
  close(): void;
}

export function createMcpPart(options: McpPartOptions): McpPart {
  const { config, index, threads, channel, servers, commands, remotes, changed, log } = options;
  const health = new HealthBook(
    () => Object.keys(config.mcpServers),
    (server) => remotes.status(server),
  );
  const lists = new ServerLists({ config, index, servers, health });
  const catalogue = new ToolCatalogue({
    config,
    health,
    list: (caller, server, how) => lists.list(caller, server, how),
    changed,
    isRefused: (tool) => options.policy.pinned(tool)?.isRefused === true,
    onTrouble: (server) => channel.notify('server-trouble', { server }),
    log,
  });
  // Thread 0 lists for all threads, which would only list the same.
  const listed = (): string[] => {
    const { mcpServers } = config;
    const all = [...serversOf(mcpServers, isUrlServer), ...serversOf(mcpServers, isCommandServer)];
    return index === 0 ? all.map(([server]) => server) : [];
  };
  const isCommand = (server: string): boolean => {
    const settings = config.mcpServers[server];
    return settings !== undefined && isCommandServer(settings);
  };
  const lister = new ServerLister({
    servers: listed(),
    list: (server, signal) => lists.list(lists.nobody, server, { signal }),
    watch: (server, onChanged) =>
      isCommand(server) ? commands.watch(server, onChanged) : remotes.watch(lists.nobody, server, onChanged),
    tell: (news) => channel.notify('server-tools', news),
    log,
  });
  lister.start();

  return {
    catalogue,
    applyConfig: ({ changed: others, removed }) => {
      const gone = [...others, ...removed];
      health.forget(gone);
      catalogue.applyConfig(gone, removed);
      lister.replace(listed(), others);
    },
    handlers: (checkOwner) => ({
      'set-catalogue': ({ catalogue: tools, notes = {}, pins = {} }) => {
        options.policy.setPins(pins);
        catalogue.set(tools, notes);
        return null;
      },
      'refresh-server': ({ server }) => {
        lister.refresh(server);
        return null;
      },
      'mcp-status': async ({ user, who }) => {
        // The user's own thread finds out whether the user is logged in.
        const caller = callerOf({ user, who, server: '' });
        if (threadOf(user, threads) === index) await catalogue.ready(caller, STATUS_WAIT_MS);
        return { health: health.read(), own: catalogue.ownServers(caller) };
      },
      'mcp-test': (request) => lists.test(callerOf(request), request.server),
      'mcp-request': async (request) => {
        if (request.session !== undefined) await checkOwner({ user: request.user, session: request.session });
        return answerRequest(options, request);
      },
      'mcp-forget': ({ user, server }) => {
        catalogue.forget(user, server);
        return null;
      },
    }),
    close: () => lister.close(),
  };
}

async function answerRequest(
  { config, policy, servers }: McpPartOptions,
  request: McpRequest,
): Promise<Record<string, unknown>> {
  const { server, session } = request;
  const settings = config.mcpServers[server];
  if (!settings || !seesServer(config.mcpServers, server, request.who)) throw noSuchServer(server);
  const inSandbox = isImageServer(settings) || (isCommandServer(settings) && settings.sandbox !== undefined);
  if (inSandbox && session === undefined) {
    throw new FairleadError('ERR_BAD_FRAME', `${server} runs in a session's sandbox: say which with ?session=`);
  }
  await admitRequest(policy, request, { server, method: request.method, params: paramsOf(request) });
  const timeoutMs = config.mcp.requestTimeoutMs;
  const options = { signal: AbortSignal.timeout(timeoutMs), timeoutMs, asks: NOBODY };
  const connection = await servers.connection(callerOf(request), server);
  switch (request.method) {
    case 'prompts/list':
      return { prompts: (await listAll(connection, 'prompts/list', options)).items };
    case 'resources/list': {
      const { items: resources } = await listAll(connection, 'resources/list', options);
      const { items: resourceTemplates } = await listAll(connection, 'resources/templates/list', options);
      return { resources, resourceTemplates };
    }
    case 'prompts/get':
    case 'resources/read': {
      const capability = request.method === 'prompts/get' ? 'prompts' : 'resources';
      if (connection.capabilities[capability] === undefined) {
        throw new FairleadError('ERR_NOT_FOUND', `${server} has no ${capability}`);
      }
      return connection.request({ ...options, method: request.method, params: paramsOf(request) });
    }
  }
}

function paramsOf(request: McpRequest): Record<string, unknown> {
  switch (request.method) {
    case 'prompts/list':
    case 'resources/list':
      return {};
    case 'prompts/get':
      return { name: request.name, arguments: request.args };
    case 'resources/read':
      return { uri: request.uri };
  }
}

/** A request without a session uses one that only this user's requests to this server have. */
function callerOf({ user, who, session, server }: Asker & { session?: string; server: string }): Caller {
  return { user, who, session: session ?? `pages ${JSON.stringify([user, server])}` };
}
