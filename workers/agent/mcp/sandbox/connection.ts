/** One MCP server in one session's sandbox: lease, calls. Runs in agent threads. */
import type { ClientCapabilities } from '@modelcontextprotocol/client';
import { MessageChannel } from 'node:worker_threads';
import { FairleadError } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import type { ExecRequest, LeaseRequest, LeaseResult } from '../../../docker/contract/messages.js';
import { ClientConnection } from '../host/client-connection.js';
import { HostClient } from '../host/host-client.js';
import { PortTransport } from './port-transport.js';

/** What agent threads ask of the docker thread, through the main thread, which transfers the port. */
export interface SandboxHost {
  lease(request: LeaseRequest): Promise<LeaseResult>;
  /** Starts a `command` server in it. */
  exec(request: ExecRequest): Promise<void>;
  /** Saves its workspace and lets it go; rejects when it could not be saved: then it stays as it is. */
  hibernate(sandbox: string): Promise<void>;
  release(sandbox: string): Promise<void>;
}

export interface ConnectOptions {
  host: SandboxHost;
  session: string;
  server: string;
  /** What it was told at its handshake that we can do. */
  capabilities: ClientCapabilities;
  log: Logger;
  /** The sandbox has ended by itself; never called after `close`. */
  onEnd: (reason: string) => void;
  /** The server says so. */
  onToolsChanged: () => void;
}

export const WORKSPACE_ROOTS = [{ uri: 'file:///workspace', name: 'workspace' }];

/** No connection outlives its sandbox; a sandbox may outlive its connection, and is leased again then. */
export class SandboxConnection extends ClientConnection {
  readonly sandbox: string;
  readonly #transport: PortTransport;
  readonly #host: SandboxHost;
  /** Other servers that run in the same sandbox. */
  readonly #tenants = new Set<{ readonly idleMs: number }>();
  #triedAt = 0;
  /** It is being let go: its end is no news. */
  #leaving = false;

  private constructor(sandbox: string, client: HostClient, transport: PortTransport, host: SandboxHost) {
    super(client);
    this.sandbox = sandbox;
    this.#transport = transport;
    this.#host = host;
  }

  /** The docker thread has greeted the server already: past the lease, nothing is waited for. Errors of the lease. */
  static async open(options: ConnectOptions): Promise<SandboxConnection> {
    const { host, session, server, capabilities, log, onToolsChanged } = options;
    const { port1, port2 } = new MessageChannel();
    const transport = new PortTransport(port1, (text) => log.debug({ server, bytes: text.length }, 'sandbox stderr'));
    const client = new HostClient({
      server,
      capabilities,
      roots: WORKSPACE_ROOTS,
      log,
      onToolsChanged,
      describeFailure: (error) => describeEnd(transport, error),
    });
    let lease: LeaseResult;
    try {
      lease = await host.lease({ session, server, port: port2 });
    } catch (error) {
      port1.close();
      throw error;
    }
    const { handshake, generation } = lease;
    transport.greeted(handshake, generation);
    const { era } = handshake;
    await client.connect(transport, {
      prior: era === 'modern' ? { kind: era, discover: handshake.discover } : { kind: era },
    });
    const connection = new SandboxConnection(lease.sandbox, client, transport, host);
    client.client.onclose = () => {
      if (!connection.#leaving) options.onEnd(transport.exitReason);
    };
    return connection;
  }

  /** For how long nothing has been asked of it, nor tried to save it; 0 while something runs in it. */
  override get idleMs(): number {
    const tenants = [...this.#tenants].map(({ idleMs }) => idleMs);
    return Math.min(super.idleMs, performance.now() - this.#triedAt, ...tenants);
  }

  /** Another server runs in it, whose calls count as its own; until what is answered is called. */
  hold(tenant: { readonly idleMs: number }): () => void {
    this.#tenants.add(tenant);
    return () => void this.#tenants.delete(tenant);
  }

  /** Resolves with whether it has gone, workspace saved. False: it could not be saved, and is as before; asked again later. */
  async hibernate(log: Logger): Promise<boolean> {
    this.#leaving = true;
    try {
      await this.#host.hibernate(this.sandbox);
    } catch (error) {
      this.#leaving = false;
      this.#triedAt = performance.now();
      log.warn({ err: error, sandbox: this.sandbox }, 'a sandbox could not hibernate and stays');
      return this.#transport.exitReason !== '';
    }
    await this.disconnect();
    return true;
  }

  /** Gives the sandbox back. Idempotent. */
  async close(): Promise<void> {
    await this.disconnect();
    await this.#host.release(this.sandbox);
  }

  /** Lets go of the stream only; the docker thread, whose port closes with it, removes the sandbox. */
  async disconnect(): Promise<void> {
    delete this.client.client.onclose;
    await this.client.close();
    await this.#transport.close();
  }
}

function describeEnd({ lost, exitReason }: PortTransport, cause: unknown): FairleadError | undefined {
  if (lost) {
    const text = 'the connection to the sandbox was lost while the tool ran; it may have run in part';
    return new FairleadError('ERR_SANDBOX', text, { cause });
  }
  if (!exitReason) return undefined;
  return new FairleadError('ERR_SANDBOX', `the sandbox ended while the tool ran: ${exitReason}`, { cause });
}
