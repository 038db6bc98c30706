/** Pins the tool definitions of MCP servers, and says what differs from them. Main thread. */
import type { Config } from '../shared/config.js';
import { FairleadError } from '../shared/errors.js';
import { noSuchServer } from '../shared/kept-for-groups.js';
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

export interface McpPinsOptions {
  config: Pick<Config, 'mcp' | 'mcpServers'>;
  file: Pick<PinFile, 'pins' | 'set'>;
  /** The tools that the server has listed for all users; undefined: none yet. */
  toolsOf: (server: string) => readonly ToolDefinition[] | undefined;
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

  /** ERR_NOT_FOUND; ERR_UNAVAILABLE while the server's tools are not known. */
  read(server: string): PinReport {
    const { config, file } = this.#options;
    const definitions = this.#toolsOf(server);
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

  /** Pins the tools as they are now. Also ERR_CONFIG for a server that is pinned in the configuration. */
  async pin(server: string): Promise<PinReport> {
    const tools = pinsOf(this.#toolsOf(server));
    await this.#set(server, tools);
    return this.read(server);
  }

  async unpin(server: string): Promise<PinReport> {
    this.#toolsOf(server);
    await this.#set(server, undefined);
    return this.read(server);
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

  #toolsOf(server: string): readonly ToolDefinition[] {
    const { config, toolsOf } = this.#options;
    if (!Object.hasOwn(config.mcpServers, server)) throw noSuchServer(server);
    const tools = toolsOf(server);
    if (tools) return tools;
    const told = `the tools of ${server} are not known: it has not answered yet, or each user has tools of their own there`;
    throw new FairleadError('ERR_UNAVAILABLE', told, { retryAfterMs: 5_000 });
  }
}
