/** Pins the tool definitions of MCP servers, and says what differs from them. Main thread. */
import type { Config } from '../shared/config.js';
import { FairleadError } from '../shared/errors.js';
import { noSuchServer } from '../shared/kept-for-groups.js';
import type { Who } from '../shared/person.js';
import type { PinDifference } from '../shared/protocol.js';
import type { ToolDefinition } from '../shared/tool-definition.js';
import { pinDifference, pinsOf, type Pins, type ToolPins } from '../shared/tool-pins.js';
import type { PinFile } from './pin-file.js';

export interface PinReport {
  server: string;
  /** Where its pins are; absent: it is not pinned. */
  pinnedBy?: 'configuration' | 'file';
  onChange: 'ask' | 'refuse';
  /** The pins of its tools as they are now. */
  tools: ToolPins;
  differences: ({ tool: string } & PinDifference)[];
  /** Pinned tools that the server no longer has. */
  missing: string[];
}

/** Who asks for the pins. */
export interface PinAsker {
  user: string;
  who: Who;
}

export interface McpPinsOptions {
  config: Pick<Config, 'mcp' | 'mcpServers'>;
  file: Pick<PinFile, 'pins' | 'set'>;
  /** The tools that the server has listed for all users, or for this one where each has their own; undefined: none yet. */
  toolsOf: (server: string, asker: PinAsker) => Promise<readonly ToolDefinition[] | undefined>;
  /** Users log in to it, and each has tools of their own there. */
  isPerUser: (server: string) => boolean;
  /** Tells all agent threads. */
  publish: () => Promise<void>;
}

export class McpPins {
  readonly #options: McpPinsOptions;

  constructor(options: McpPinsOptions) {
    this.#options = options;
  }

  /** Those in force. */
  get pins(): Pins {
    const { config, file } = this.#options;
    return { ...file.pins, ...config.mcp.pins.servers };
  }

  /** ERR_NOT_FOUND; ERR_UNAVAILABLE while the server's tools are not known; ERR_MCP_LOGIN where the asker has to log in for them. */
  async read(server: string, asker: PinAsker): Promise<PinReport> {
    return this.#report(server, await this.#toolsOf(server, asker));
  }

  #report(server: string, definitions: readonly ToolDefinition[]): PinReport {
    const { config, file } = this.#options;
    const tools = pinsOf(definitions);
    const { pins } = this;
    const isIn = (held: Pins): boolean => Object.hasOwn(held, server);
    const pinnedBy = isIn(config.mcp.pins.servers) ? 'configuration' : isIn(file.pins) ? 'file' : undefined;
    return {
      server,
      ...(pinnedBy ? { pinnedBy } : {}),
      onChange: config.mcp.pins.onChange,
      tools,
      differences: definitions.flatMap((definition) => {
        const difference = pinDifference(pins, server, definition);
        return difference ? [{ tool: definition.name, ...difference }] : [];
      }),
      missing: pinnedBy ? Object.keys(pins[server]!).filter((name) => !Object.hasOwn(tools, name)) : [],
    };
  }

  /** Pins the tools as they are now, where each user has their own as the asker has them. Also ERR_BAD_FRAME for a server that is pinned in the configuration. */
  async pin(server: string, asker: PinAsker): Promise<PinReport> {
    const definitions = await this.#toolsOf(server, asker);
    await this.#set(server, pinsOf(definitions));
    return this.#report(server, definitions);
  }

  /** Also while the server's tools are not known: then the report has none. */
  async unpin(server: string, asker: PinAsker): Promise<PinReport> {
    this.#check(server);
    await this.#set(server, undefined);
    return this.#report(server, (await this.#options.toolsOf(server, asker)) ?? []);
  }

  async #set(server: string, tools: ToolPins | undefined): Promise<void> {
    const { config, file, publish } = this.#options;
    if (Object.hasOwn(config.mcp.pins.servers, server)) {
      const told = `${server} is pinned in mcp.pins.servers of the configuration, which outweighs the data folder: change it there`;
      throw new FairleadError('ERR_BAD_FRAME', told);
    }
    file.set(server, tools);
    await publish();
  }

  #check(server: string): void {
    if (!Object.hasOwn(this.#options.config.mcpServers, server)) throw noSuchServer(server);
  }

  async #toolsOf(server: string, asker: PinAsker): Promise<readonly ToolDefinition[]> {
    const { toolsOf, isPerUser } = this.#options;
    this.#check(server);
    const tools = await toolsOf(server, asker);
    if (tools) return tools;
    if (isPerUser(server)) {
      const told = `each user has tools of their own at ${server}: log in there (fairlead mcp login ${server}), use it once, and pin it as you have it`;
      throw new FairleadError('ERR_MCP_LOGIN', told);
    }
    throw new FairleadError('ERR_UNAVAILABLE', `the tools of ${server} are not known: it has not answered yet`, {
      retryAfterMs: 5_000,
    });
  }
}
