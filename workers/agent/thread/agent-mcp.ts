/** The MCP servers of one agent thread: how each is reached, and what the main thread may ask about them. Agent threads. */
import { serverWithImages } from '../../../src/shared/config-images.js';
import type { Config } from '../../../src/shared/config.js';
import type { Logger } from '../../../src/shared/log.js';
import { standingOf } from '../../../src/shared/person.js';
import { quotaOf } from '../../../src/shared/quotas.js';
import type { ServerChanges } from '../../../src/shared/server-changes.js';
import type { Channel } from '../../../src/shared/threads/channel.js';
import type { AgentWorkerData } from '../contract/lifecycle.js';
import type { AgentContract, AgentHostContract } from '../contract/messages.js';
import type { SessionRef } from '../contract/sessions.js';
import type { ToolCatalogue } from '../mcp/catalogue/tool-catalogue.js';
import type { Policy } from '../mcp/calls/policy.js';
import { SessionTools } from '../mcp/catalogue/session-tools.js';
import { Commands } from '../mcp/command/commands.js';
import { sharedSession } from '../mcp/host/shared-sessions.js';
import { createMcpPart, type McpPart } from '../mcp/requests.js';
import type { SandboxHost } from '../mcp/sandbox/connection.js';
import { SandboxClaims } from '../mcp/sandbox/sandbox-claims.js';
import { SessionSandboxes } from '../mcp/sandbox/session-sandboxes.js';
import { McpServers } from '../mcp/servers.js';
import { UrlServers, type CreateUrlPart } from '../mcp/url-servers.js';
import type { Store } from '../store/store.js';

/** The docker thread has deadlines of its own, and its line for a sandbox is long when the box is full. */
const NO_TIMEOUT = { timeoutMs: Infinity };

type HostChannel = Channel<AgentContract, AgentHostContract>;

export interface AgentMcpOptions {
  data: Pick<AgentWorkerData, 'config' | 'index' | 'threads' | 'instance' | 'slots'>;
  policy: Policy;
  store: Store;
  channel: HostChannel;
  createUrlPart: CreateUrlPart;
  log: Logger;
}

export class AgentMcp {
  readonly servers: McpServers;
  readonly #urls: UrlServers;
  readonly #commands: Commands;
  readonly #sandboxes: SessionSandboxes;
  readonly #part: McpPart;

  constructor({ data, policy, store, channel, createUrlPart, log }: AgentMcpOptions) {
    const { config } = data;
    const shared = sharedSession(data.index);
    const sessionTools = new SessionTools({
      get timeoutMs() {
        return config.mcp.requestTimeoutMs;
      },
      shared,
      log,
    });
    const host = sandboxHost(channel);
    const claims = new SandboxClaims({
      counters: store.counters,
      quotaOf: ({ user, who }) => quotaOf(config, { user, ...standingOf(who) }),
      get failOpen() {
        return config.quotas.failOpen;
      },
      log,
    });
    const sandboxes = new SessionSandboxes({
      host,
      config,
      claims,
      imageOf: (session, server) => imageOf(session, server, { config, store }),
      shared,
      sessionTools,
      log,
    });
    const commands = new Commands({ config, place: data, sandboxes, host, sessionTools, log });
    this.#commands = commands;
    this.#sandboxes = sandboxes;
    this.#urls = new UrlServers({ ...data, store, channel, log }, createUrlPart);
    const { remotes } = this.#urls;
    this.servers = new McpServers(config, { sandboxes, commands, remotes });
    this.#part = createMcpPart({
      ...data,
      policy,
      channel,
      servers: this.servers,
      commands,
      remotes,
      changed: sessionTools,
      log,
    });
  }

  get catalogue(): ToolCatalogue {
    return this.#part.catalogue;
  }

  /** The servers are those of the configuration from now on: calls that run end on the server of before. */
  applyConfig(changes: ServerChanges, images: readonly string[]): void {
    this.#urls.applyConfig();
    this.#commands.applyConfig(changes);
    this.#sandboxes.applyConfig(changes, images);
    this.#part.applyConfig(changes); // last: it lists the new servers
  }

  /** `checkOwner` rejects with ERR_NO_SUCH_SESSION for a session that is not the user's. */
  handlers(checkOwner: (of: SessionRef) => Promise<unknown>): McpHandlers {
    const handlers = this.#part.handlers(checkOwner);
    return {
      ...handlers,
      ...this.#urls.handlers,
      'mcp-forget': (of) => {
        this.#urls.forget(of);
        return handlers['mcp-forget'](of);
      },
    };
  }

  close(): void {
    this.#part.close();
    this.#urls.close();
  }
}

type McpHandlers = ReturnType<McpPart['handlers']> & UrlServers['handlers'];

/** Read from the store for each lease, so that none is given without it. */
async function imageOf(
  session: string,
  server: string,
  { config, store }: { config: Config; store: Store },
): Promise<string | undefined> {
  if (serverWithImages(config.mcpServers)?.[0] !== server) return undefined;
  return (await store.readSession(session))?.image;
}

/** The docker thread, behind the main thread. */
function sandboxHost(channel: HostChannel): SandboxHost {
  return {
    lease: (request) => channel.request('lease-sandbox', request, { ...NO_TIMEOUT, transfer: [request.port] }),
    exec: async (request) =>
      void (await channel.request('exec-server', request, { ...NO_TIMEOUT, transfer: [request.port] })),
    hibernate: async (sandbox) => void (await channel.request('hibernate-sandbox', { sandbox }, NO_TIMEOUT)),
    keep: async (sandbox) => void (await channel.request('keep-sandbox', { sandbox })),
    replace: (request) => channel.request('replace-sandbox', request, NO_TIMEOUT),
    release: async (sandbox) => void (await channel.request('release-sandbox', { sandbox })),
  };
}
