/** A connection to a running `command` server, on the host or in a sandbox: its handshake, then its calls. Agent threads. */
import { type ClientCapabilities, type Root, type Transport } from '@modelcontextprotocol/client';
import type { CommandServerConfig } from '../../../../src/shared/config-mcp.js';
import { FairleadError, isFairleadError } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import { NEWER_PROTOCOL } from '../../../../src/shared/mcp-capabilities.js';
import type { QuestionOrigin } from '../../../../src/shared/protocol.js';
import type { StderrTail } from '../../../../src/shared/stderr-tail.js';
import { ClientConnection } from '../host/client-connection.js';
import { HostClient, isTimeout } from '../host/host-client.js';
import { ServerEnded } from '../host/server-ended.js';
import type { LegacyServers } from './legacy-servers.js';
import type { ServerEnd } from './restart-pauses.js';

/** The stdio of a process, on the host or in a sandbox. */
export interface CommandTransport extends Transport {
  /** Why the process ended; '' while it lives. */
  readonly exitReason: string;
  /** The beginning of its output that is no MCP. */
  readonly stray: string;
  /** Its last message, ms on the monotonic clock. */
  readonly heardAt: number;
}

/** A started process, before the handshake. */
export interface StartedCommand {
  transport: CommandTransport;
  roots: readonly Root[];
  stderr: StderrTail;
  /** Absent on the host. */
  origin?: QuestionOrigin;
  /** Keeps the sandbox that it runs in from hibernating while it is used. */
  sandboxUse?: SandboxUse;
}

export interface SandboxUse {
  begin(connection: { readonly idleMs: number }): void;
  end(): void;
}

export interface CommandOptions {
  server: string;
  start: () => Promise<StartedCommand>;
  capabilities: ClientCapabilities;
  era: CommandServerConfig['era'];
  legacyServers: LegacyServers;
  timeoutMs: number;
  /** See `mcp.silenceMs`. */
  silenceMs: number;
  log: Logger;
  /** Called when the process ends by itself, never after `close`. */
  onEnd: (end: ServerEnd) => void;
  onToolsChanged?: (() => void) | undefined;
}

type Mode = CommandServerConfig['era'];

export class CommandConnection extends ClientConnection {
  readonly #sandboxUse: SandboxUse | undefined;

  private constructor(client: HostClient, sandboxUse: SandboxUse | undefined) {
    super(client);
    this.#sandboxUse = sandboxUse;
    sandboxUse?.begin(this);
  }

  /** ERR_MCP, and the errors of `start`; a failed start leaves no process. */
  static async open(options: CommandOptions): Promise<CommandConnection> {
    const { server, era, legacyServers } = options;
    if (era === 'modern' || (era === 'auto' && !legacyServers.isLegacy(server))) {
      const connection = await CommandConnection.#connect(options, era);
      if (connection) return connection;
      legacyServers.noteLegacy(server); // some servers exit on anything but `initialize` as the first request
    }
    const connection = await CommandConnection.#connect(options, 'legacy');
    if (!connection) throw new FairleadError('ERR_MCP', `the server ${server} ended at its start`);
    return connection;
  }

  /** Undefined: the process ended, or fell silent, while the modern protocol was tried. */
  static async #connect(options: CommandOptions, mode: Mode): Promise<CommandConnection | undefined> {
    const { server, legacyServers, timeoutMs, onEnd } = options;
    const started = await options.start();
    const { transport, sandboxUse } = started;
    const client = makeClient(options, started, mode);
    try {
      await client.connect(transport, { timeout: timeoutMs });
    } catch (error) {
      const { exitReason } = transport;
      sandboxUse?.end();
      await transport.close();
      if (mode === 'auto' && (exitReason !== '' || isTimeout(error))) return undefined;
      legacyServers.forget(server);
      throw explainStart(options, started, exitReason, error);
    }
    if (client.era === 'legacy') legacyServers.noteLegacy(server);
    client.client.onclose = () => {
      sandboxUse?.end();
      onEnd({ how: transport.exitReason || 'it did not answer', stderr: started.stderr.told });
    };
    return new CommandConnection(client, sandboxUse);
  }

  /** Resolves when the process is gone. */
  async close(): Promise<void> {
    delete this.client.client.onclose;
    this.#sandboxUse?.end();
    await this.client.close();
  }
}

function makeClient(
  options: CommandOptions,
  { transport, roots, origin, stderr }: StartedCommand,
  mode: Mode,
): HostClient {
  const { server, capabilities, log, timeoutMs, silenceMs, onToolsChanged } = options;
  return new HostClient({
    server,
    capabilities,
    origin,
    roots,
    log,
    versionNegotiation:
      mode === 'modern'
        ? { mode: { pin: NEWER_PROTOCOL }, probe: { timeoutMs } }
        : { mode, probe: { timeoutMs: Math.ceil(timeoutMs / 2) } },
    onToolsChanged,
    life: {
      silenceMs,
      heardAt: () => transport.heardAt,
      onDead: async () => {
        void transport.close(); // its end is a wait of seconds, and the next call starts another one
        return new FairleadError(
          'ERR_MCP',
          `the server ${server} sent nothing for long and is ended; the next call starts it again`,
        );
      },
    },
    describeFailure: (cause) =>
      transport.exitReason === ''
        ? undefined
        : new ServerEnded(
            'ERR_MCP',
            `the server ended while it ran this; it may have run in part: ${transport.exitReason}${stderr.told}`,
            { how: transport.exitReason, cause },
          ),
  });
}

function explainStart(
  { server, timeoutMs }: CommandOptions,
  { transport: { stray }, stderr }: StartedCommand,
  exitReason: string,
  cause: unknown,
): FairleadError {
  if (isFairleadError(cause)) return cause;
  const printed = `${stray && `; it printed output that is not MCP: ${stray}`}${stderr.told}`;
  const why = exitReason
    ? `ended at its start: ${exitReason}${printed}`
    : isTimeout(cause)
      ? `did not answer the handshake within ${timeoutMs} ms${printed}`
      : `refused the handshake: ${cause instanceof Error ? cause.message : String(cause)}`;
  return new FairleadError('ERR_MCP', `the server ${server} ${why}`, { cause });
}
