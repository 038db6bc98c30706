/** A `command` server that runs, on the host or in a sandbox: negotiated, then called. Agent threads. */
import { ProtocolError, type ClientCapabilities, type Root, type Transport } from '@modelcontextprotocol/client';
import { FairleadError, isFairleadError } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import { ClientConnection } from '../host/client-connection.js';
import { HostClient } from '../host/host-client.js';
import type { LegacyServers } from './legacy-servers.js';

/** A process's stdio, however it is reached. */
export interface CommandTransport extends Transport {
  /** Why the process ended, in plain words; '' while it lives. */
  readonly exitReason: string;
  /** The beginning of what it printed that is no MCP. */
  readonly stray: string;
}

/** A process that has been started, and nothing said to it yet. */
export interface StartedCommand {
  transport: CommandTransport;
  roots: readonly Root[];
  /** Where it runs must not be put away while it is used: it is told what is used, and when that is over. */
  tenancy?: Tenancy;
}

export interface Tenancy {
  begin(connection: { readonly idleMs: number }): void;
  end(): void;
}

export interface CommandOptions {
  server: string;
  start: () => Promise<StartedCommand>;
  capabilities: ClientCapabilities;
  legacyServers: LegacyServers;
  timeoutMs: number;
  log: Logger;
  /** It has ended by itself; never called after `close`. */
  onEnd: (reason: string) => void;
  onToolsChanged?: (() => void) | undefined;
}

export class CommandConnection extends ClientConnection {
  readonly #tenancy: Tenancy | undefined;

  private constructor(client: HostClient, tenancy: Tenancy | undefined) {
    super(client);
    this.#tenancy = tenancy;
    tenancy?.begin(this);
  }

  /** ERR_MCP in plain words, and the errors of `start`; nothing is left of it then. */
  static async open(options: CommandOptions): Promise<CommandConnection> {
    const { server, legacyServers } = options;
    if (!legacyServers.isLegacy(server)) {
      const connection = await CommandConnection.#connect(options, 'auto');
      if (connection) return connection;
      legacyServers.noteLegacy(server); // it ended when it was asked: there are servers that take `initialize` and nothing else
    }
    const connection = await CommandConnection.#connect(options, 'legacy');
    if (!connection) throw new FairleadError('ERR_MCP', `the server ${server} ended at its start`);
    return connection;
  }

  /** Undefined: it ended while it was asked for its era. */
  static async #connect(options: CommandOptions, mode: 'auto' | 'legacy'): Promise<CommandConnection | undefined> {
    const { server, legacyServers, timeoutMs, onEnd } = options;
    const started = await options.start();
    const { transport, tenancy } = started;
    const client = makeClient(options, started, mode);
    try {
      await client.connect(transport, { timeout: timeoutMs });
    } catch (error) {
      const { exitReason } = transport;
      tenancy?.end();
      await transport.close();
      if (mode === 'auto' && exitReason !== '') return undefined;
      legacyServers.forget(server);
      throw explainStart(options, transport.stray, exitReason, error);
    }
    if (client.era === 'legacy') legacyServers.noteLegacy(server);
    client.client.onclose = () => {
      tenancy?.end();
      onEnd(transport.exitReason);
    };
    return new CommandConnection(client, tenancy);
  }

  /** Resolves when the process is gone. */
  async close(): Promise<void> {
    delete this.client.client.onclose;
    this.#tenancy?.end();
    await this.client.close();
  }
}

function makeClient(
  options: CommandOptions,
  { transport, roots }: StartedCommand,
  mode: 'auto' | 'legacy',
): HostClient {
  const { server, capabilities, log, timeoutMs, onToolsChanged } = options;
  return new HostClient({
    server,
    capabilities,
    roots,
    log,
    versionNegotiation: { mode, probe: { timeoutMs: Math.ceil(timeoutMs / 2) } },
    onToolsChanged,
    describeFailure: (cause) =>
      transport.exitReason === ''
        ? undefined
        : new FairleadError('ERR_MCP', `the server ended while it ran this, perhaps in part: ${transport.exitReason}`, {
            cause,
          }),
  });
}

function explainStart(
  { server, timeoutMs }: CommandOptions,
  stray: string,
  exitReason: string,
  cause: unknown,
): FairleadError {
  if (isFairleadError(cause)) return cause;
  const printed = stray && `; it printed what is no MCP: ${stray}`;
  const why = exitReason
    ? `ended at its start: ${exitReason}${printed}`
    : cause instanceof ProtocolError
      ? `refused the handshake: ${cause.message}`
      : `did not answer the handshake within ${timeoutMs} ms${printed}`;
  return new FairleadError('ERR_MCP', `the server ${server} ${why}`, { cause });
}
