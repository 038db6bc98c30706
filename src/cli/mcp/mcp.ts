/** `fairlead mcp …`: lists a running server's MCP servers, tests them, logs in and out. Command line's process. */
import { setTimeout as delay } from 'node:timers/promises';
import { counted } from '../../shared/counted.js';
import { errorToData, publicMessage } from '../../shared/errors.js';
import { safeEndpoint } from '../endpoint.js';
import { McpApi, type McpServerInfo } from './mcp-api.js';
import { infoText, pinText, serversText, testedText, type Tested } from './mcp-text.js';
import type { Colors } from '../report.js';
import { inline } from '../terminal-text.js';

const LOOK_MS = 1_000;

export interface McpOptions {
  url: string;
  token: string | undefined;
  json: boolean;
  /** Send the token over plain http beyond this machine. */
  insecure: boolean;
  colors: Colors;
  write: (text: string) => void;
}

export interface PinFlags {
  print: boolean;
  remove: boolean;
  look: boolean;
}

export class McpCommands {
  readonly #options: McpOptions;
  readonly #api: McpApi;

  constructor(options: McpOptions) {
    this.#options = options;
    this.#api = new McpApi(safeEndpoint(options).http, options.token);
  }

  /** Each method resolves to the exit code: 1 when a server is not healthy. */
  async list(): Promise<number> {
    const servers = await this.#api.list();
    this.#tell({ servers }, serversText(servers, this.#options.colors));
    return servers.every(({ state }) => isHealthy(state)) ? 0 : 1;
  }

  async info(server: string): Promise<number> {
    const info = await this.#api.info(server);
    this.#tell(info, infoText(info, this.#options.colors));
    return isHealthy(info.state) ? 0 : 1;
  }

  /** Asks every server that needs no sandbox; reports what is known of the others. */
  async test(server: string | undefined): Promise<number> {
    const servers = server === undefined ? await this.#api.list() : [await this.#api.info(server)];
    const tested = await Promise.all(servers.map((info) => this.#testOne(info)));
    this.#tell({ tested }, tested.map((each) => testedText(each, this.#options.colors)).join(''));
    return tested.every(({ ok }) => ok) ? 0 : 1;
  }

  /** Pins the server's tools as they are now; `print` and `look` change nothing. Looking: 1 when something differs. */
  async pin(server: string, { print, remove, look }: PinFlags): Promise<number> {
    const method = remove ? 'DELETE' : print || look ? 'GET' : 'POST';
    const report = await this.#api.pins(server, method);
    if (print) {
      this.#options.write(`${JSON.stringify({ [server]: report.tools }, null, 2)}\n`);
      return 0;
    }
    this.#tell(report, pinText(report, this.#options.colors));
    return look && report.differences.length > 0 ? 1 : 0;
  }

  /** Waits until the user has come back from the authorization server. 1 when they have not in time. */
  async login(server: string): Promise<number> {
    const { colors, write, json } = this.#options;
    const { url, expiresAt } = await this.#api.login(server);
    if (json) write(`${JSON.stringify({ url, expiresAt })}\n`);
    else
      write(
        `Open this address to log in to ${inline(server)}:\n\n  ${inline(url, 8_000)}\n\nWaiting for you to come back …\n`,
      );
    for (;;) {
      const info = await this.#api.info(server);
      if (info.state === 'healthy') {
        this.#tell(info, `${colors.green('✓')} logged in: ${counted(info.tools.length, 'tool')}\n`);
        return 0;
      }
      if (Date.now() > expiresAt) break;
      await delay(LOOK_MS);
    }
    this.#tell(
      { error: 'the login was not finished in time' },
      `${colors.red('✗')} the login was not finished in time\n`,
    );
    return 1;
  }

  /** Calls the tool once, under the rules of a turn, and asks at the terminal. 1 when its result is an error. */
  async call(server: string, tool: string, json: string, yes: boolean): Promise<number> {
    const { callTool } = await import('./call.js');
    const { stdin: input, stdout: output, stderr: errors } = process;
    const { http } = safeEndpoint(this.#options);
    return callTool(this.#api, server, tool, json, { ...this.#options, http, yes, input, output, errors });
  }

  async logout(server: string): Promise<number> {
    const { revoked } = await this.#api.logout(server);
    const told = revoked ? 'the login is revoked' : 'the login is forgotten here; that server does not revoke it';
    this.#tell({ revoked }, `${this.#options.colors.green('✓')} ${told}\n`);
    return 0;
  }

  async #testOne({ name, kind, state, lastError }: McpServerInfo): Promise<Tested> {
    if (kind === 'image') {
      const known = lastError === undefined ? {} : { error: lastError };
      return { name, ok: isHealthy(state), ...known, note: 'known from its calls, since a test starts no sandbox' };
    }
    try {
      return { name, ok: true, ...(await this.#api.test(name)) };
    } catch (error) {
      return { name, ok: false, error: publicMessage(errorToData(error)) };
    }
  }

  #tell(value: unknown, text: string): void {
    this.#options.write(this.#options.json ? `${JSON.stringify(value)}\n` : text);
  }
}

/** A missing login is for the user to make; the server itself is healthy. */
function isHealthy(state: string): boolean {
  return state === 'healthy' || state === 'needs_login';
}
