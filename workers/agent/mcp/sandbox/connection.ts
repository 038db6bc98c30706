/** One session's connection to the MCP server in its sandbox: lease, calls, hibernation. Agent threads. */
import type { CallToolResult, ClientCapabilities } from '@modelcontextprotocol/client';
import { MessageChannel } from 'node:worker_threads';
import { FairleadError } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import { RESTORED_META } from '../../../../src/shared/mcp-meta.js';
import { StderrTail } from '../../../../src/shared/stderr-tail.js';
import type { ExecRequest, LeaseRequest, LeaseResult, ReplaceRequest } from '../../../docker/contract/messages.js';
import { ClientConnection } from '../host/client-connection.js';
import { HostClient } from '../host/host-client.js';
import type { InputAnswers, InputWanted } from '../host/input-wanted.js';
import type { ToolCall } from '../host/server-connection.js';
import { PortTransport } from './port-transport.js';
import { FREE, type Permit } from './sandbox-claims.js';

/** Requests to the docker thread. They go through the main thread, which transfers the port. */
export interface SandboxHost {
  lease(request: LeaseRequest): Promise<LeaseResult>;
  /** Starts a `command` server in the sandbox. */
  exec(request: ExecRequest): Promise<void>;
  /** Saves the workspace and removes the sandbox. Rejects when it cannot be saved; the sandbox then stays. */
  hibernate(sandbox: string): Promise<void>;
  /** Drops a hibernation under way. Idempotent. */
  keep(sandbox: string): Promise<void>;
  /** Saves the workspace, also where that is hard, and removes the sandbox. Rejects when it cannot be saved and stays. */
  replace(request: ReplaceRequest): Promise<{ saved: boolean }>;
  release(sandbox: string): Promise<void>;
}

export interface ConnectOptions {
  host: SandboxHost;
  session: string;
  /** Whose call it is. */
  user: string;
  server: string;
  /** The image that the session has chosen; absent: that of its server. Errors of the store. */
  image?: (() => Promise<string | undefined>) | undefined;
  /** Absent: nothing limits the user. */
  permit?: Permit | undefined;
  /** The client capabilities that the docker thread declared at the handshake. */
  capabilities: ClientCapabilities;
  log: Logger;
  /** See `mcp.silenceMs`. */
  silenceMs: number;
  /** See `limits.maxToolResultBytes`. */
  maxResultBytes?: number;
  /** Called when the server does not answer: replaces the sandbox. ERR_SANDBOX, ERR_UNAVAILABLE: it stays. */
  onSilent: (connection: SandboxConnection) => Promise<void>;
  /** Called when the sandbox ends by itself, never after `close`. */
  onEnd: (reason: string) => void;
  /** Called when the server says that its tools have changed. */
  onToolsChanged: () => void;
}

export const SILENT = 'the server in the sandbox does not answer';
/** The tool that has more than files in a sandbox: its shell's folder and variables. */
const SHELL_TOOL = 'run_command';
const LOST = 'the sandbox is replaced, and its files are lost';
const SAVED = 'the sandbox is replaced, and the next call gets a fresh one with its files';

export const WORKSPACE_ROOTS = [{ uri: 'file:///workspace', name: 'workspace' }];

/** A sandbox may outlive its connection, and is then leased again; no connection outlives its sandbox. */
export class SandboxConnection extends ClientConnection {
  readonly sandbox: string;
  /** The image that its session has chosen. */
  readonly image: string | undefined;
  readonly #transport: PortTransport;
  readonly #host: SandboxHost;
  /** Other servers that run in the same sandbox. */
  readonly #otherServers = new Set<{ readonly idleMs: number }>();
  /** Calls that may change files and run now. */
  #changing = 0;
  #hibernateTriedAt = 0;
  /** It is hibernating: its end is expected. */
  #hibernating = false;
  /** Why its sandbox is replaced, and what becomes of the files; '' while it is not. */
  replaced = '';

  private constructor(
    { sandbox, image }: { sandbox: string; image: string | undefined },
    client: HostClient,
    transport: PortTransport,
    host: SandboxHost,
  ) {
    super(client);
    this.sandbox = sandbox;
    this.image = image;
    this.#transport = transport;
    this.#host = host;
  }

  /** The docker thread has done the handshake already, so that nothing but the lease takes time. Errors of the lease and the permit. */
  static async open(options: ConnectOptions): Promise<SandboxConnection> {
    const { host, session, user, server, capabilities, log, onToolsChanged } = options;
    const { port1, port2 } = new MessageChannel();
    const stderr = new StderrTail();
    const transport = new PortTransport(port1, (text) => {
      log.debug({ server, bytes: text.length }, 'sandbox stderr');
      stderr.add(text);
    });
    const open: { connection?: SandboxConnection } = {};
    let isRestored = false;
    const client = new HostClient({
      server,
      capabilities,
      origin: 'sandbox',
      roots: WORKSPACE_ROOTS,
      log,
      onToolsChanged,
      ...(options.maxResultBytes === undefined ? {} : { maxResultBytes: options.maxResultBytes }),
      callMeta: (tool) => {
        if (!isRestored || tool !== SHELL_TOOL) return undefined;
        isRestored = false;
        return { [RESTORED_META]: true };
      },
      describeFailure: (error) => describeEnd(transport, open.connection?.replaced ?? '', stderr, error),
      life: {
        silenceMs: options.silenceMs,
        heardAt: () => transport.heardAt,
        onDead: async () => {
          try {
            if (open.connection) await options.onSilent(open.connection);
            return new FairleadError('ERR_SANDBOX', `${SILENT}; ${SAVED}`);
          } catch (error) {
            return new FairleadError('ERR_SANDBOX', `${SILENT}; ${(error as Error).message}`, { cause: error });
          }
        },
      },
    });
    const { permit = FREE } = options;
    let lease: LeaseResult;
    let image: string | undefined;
    try {
      image = await options.image?.();
      if (permit.first) await permit.granted;
      // A refusal closes the port, and the docker thread keeps an unused sandbox whose port is closed.
      [lease] = await Promise.all([
        host.lease({ session, user, server, ...(image !== undefined && { image }), port: port2 }),
        permit.granted,
      ]);
    } catch (error) {
      port1.close();
      throw error;
    }
    const { handshake, generation } = lease;
    isRestored = lease.restored !== undefined;
    transport.useHandshake(handshake, generation);
    const { era } = handshake;
    await client.connect(transport, {
      prior: era === 'modern' ? { kind: era, discover: handshake.discover } : { kind: era },
    });
    const connection = new SandboxConnection({ sandbox: lease.sandbox, image }, client, transport, host);
    open.connection = connection;
    client.client.onclose = () => {
      if (!connection.#hibernating) options.onEnd(transport.exitReason);
    };
    return connection;
  }

  /** How long no call has run, and no attempt to save it; 0 while a call runs, also one of another server in the sandbox. */
  override get idleMs(): number {
    const others = [...this.#otherServers].map(({ idleMs }) => idleMs);
    return Math.min(super.idleMs, performance.now() - this.#hibernateTriedAt, ...others);
  }

  /** How long no call has run, also none of another server in the sandbox. */
  override get quietMs(): number {
    return Math.min(super.quietMs, ...[...this.#otherServers].map(({ idleMs }) => idleMs));
  }

  /** Counts another server's calls in this sandbox as its own, until the returned function is called. */
  countIn(other: { readonly idleMs: number }): () => void {
    this.#otherServers.add(other);
    return () => void this.#otherServers.delete(other);
  }

  override callTool(call: ToolCall): Promise<CallToolResult> {
    return this.#change(call, () => super.callTool(call));
  }

  override sendToolCall(call: ToolCall, answers: InputAnswers): Promise<CallToolResult | InputWanted> {
    return this.#change(call, () => super.sendToolCall(call, answers));
  }

  /** The docker thread knows by it whether files would be lost with the sandbox. */
  async #change<T>({ definition, session }: ToolCall, work: () => Promise<T>): Promise<T> {
    if (definition?.readOnly === true) return work();
    this.#transport.noteChanges(++this.#changing, session);
    try {
      return await work();
    } finally {
      this.#transport.noteChanges(--this.#changing, session);
    }
  }

  /** Resolves with true when the sandbox is gone. False: the workspace could not be saved and the sandbox stays; the caller tries again later. */
  async hibernate(log: Logger): Promise<boolean> {
    this.#hibernating = true;
    try {
      await this.#host.hibernate(this.sandbox);
    } catch (error) {
      this.#hibernating = false;
      this.#hibernateTriedAt = performance.now();
      log.warn({ err: error, sandbox: this.sandbox }, 'a sandbox could not be hibernated and stays');
      return this.#transport.exitReason !== '';
    }
    await this.disconnect();
    return true;
  }

  /** A call has come while it hibernates: the sandbox stays if that is still possible. */
  keep(): Promise<void> {
    return this.#host.keep(this.sandbox);
  }

  /** Resolves when the sandbox is gone and its files are saved; with `discard`, as far as possible. Else it stays. */
  async replace(reason: string, discard: boolean): Promise<{ saved: boolean }> {
    this.#hibernating = true;
    try {
      const replaced = await this.#host.replace({ sandbox: this.sandbox, reason, discard });
      this.replaced = `${reason}; ${replaced.saved ? SAVED : LOST}`;
      await this.disconnect();
      return replaced;
    } catch (error) {
      this.#hibernating = false;
      const why = `its files could not be saved, so it stays: ${(error as Error).message}`;
      throw new FairleadError('ERR_SANDBOX', why, { cause: error });
    }
  }

  /** Releases the sandbox. Idempotent. */
  async close(): Promise<void> {
    await this.disconnect();
    await this.#host.release(this.sandbox);
  }

  /** The thread ends: the sandbox, which could not be saved, waits for its session. */
  async leave(): Promise<void> {
    delete this.client.client.onclose;
    this.#transport.leave();
    await this.client.close();
  }

  /** Closes the stream only. The docker thread removes the sandbox when its end of the port closes. */
  async disconnect(): Promise<void> {
    delete this.client.client.onclose;
    await this.client.close();
    await this.#transport.close();
  }
}

function describeEnd(
  { lost, cut, exitReason }: PortTransport,
  replaced: string,
  stderr: StderrTail,
  cause: unknown,
): FairleadError | undefined {
  if (replaced) return new FairleadError('ERR_SANDBOX', replaced, { cause });
  if (lost) {
    const text = 'the connection to the sandbox was lost while the tool ran; it may have run in part';
    return new FairleadError('ERR_SANDBOX', text, { cause });
  }
  if (!exitReason) return undefined;
  if (cut) {
    const text = `the connection to the sandbox was ended while the tool ran: ${exitReason}; ${SAVED}`;
    return new FairleadError('ERR_SANDBOX', text, { cause });
  }
  const text = `the sandbox ended while the tool ran: ${exitReason}${stderr.told}`;
  return new FairleadError('ERR_SANDBOX', text, { cause });
}
