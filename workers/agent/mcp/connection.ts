/** One MCP server in one session's sandbox: lease, calls. Runs in agent threads. */
import { Client, SdkError, ProtocolError, SdkErrorCode, type CallToolResult } from '@modelcontextprotocol/client';
import { MessageChannel } from 'node:worker_threads';
import { FairleadError, isFairleadError } from '../../../src/errors.js';
import type { Logger } from '../../../src/log.js';
import { VERSION } from '../../../src/version.js';
import type { LeaseRequest, LeaseResult } from '../../docker/messages.js';
import { PortTransport } from './port-transport.js';

/** What agent threads ask of the docker thread, through the main thread, which transfers the port. */
export interface SandboxHost {
  lease(request: LeaseRequest): Promise<LeaseResult>;
  /** Saves its workspace and lets it go; rejects when it could not be saved: then it stays as it is. */
  hibernate(sandbox: string): Promise<void>;
  release(sandbox: string): Promise<void>;
}

export interface ConnectOptions {
  host: SandboxHost;
  session: string;
  server: string;
  log: Logger;
  /** The sandbox has ended by itself; never called after `close`. */
  onEnd: (reason: string) => void;
}

export interface ToolCall {
  name: string;
  args: Record<string, unknown>;
  signal: AbortSignal;
  timeoutMs: number;
  onOutput: (stream: 'stdout' | 'stderr' | 'progress', text: string) => void;
}

/** No connection outlives its sandbox, and no sandbox its connection. */
export class SandboxConnection {
  readonly sandbox: string;
  readonly #client: Client;
  readonly #transport: PortTransport;
  readonly #host: SandboxHost;
  #calls = 0;
  #usedAt = performance.now();
  /** It is being let go: its end is no news. */
  #leaving = false;

  private constructor(sandbox: string, client: Client, transport: PortTransport, host: SandboxHost) {
    this.sandbox = sandbox;
    this.#client = client;
    this.#transport = transport;
    this.#host = host;
  }

  /** The docker thread has greeted the server already: past the lease, nothing is waited for. Errors of the lease. */
  static async open(options: ConnectOptions): Promise<SandboxConnection> {
    const { host, session, server, log } = options;
    const { port1, port2 } = new MessageChannel();
    const transport = new PortTransport(port1, (text) => log.debug({ server, bytes: text.length }, 'sandbox stderr'));
    const client = new Client({ name: 'fairlead', version: VERSION }, { capabilities: {} });
    client.onerror = (error) => log.debug({ server, err: error.message }, 'mcp protocol error');
    let lease: LeaseResult;
    try {
      lease = await host.lease({ session, server, port: port2 });
    } catch (error) {
      port1.close();
      throw error;
    }
    transport.answerInitialize(lease.handshake);
    await client.connect(transport);
    const connection = new SandboxConnection(lease.sandbox, client, transport, host);
    client.onclose = () => {
      if (!connection.#leaving) options.onEnd(transport.exitReason);
    };
    return connection;
  }

  /** ERR_CANCELLED when the signal aborts, ERR_SANDBOX when the sandbox ends in the middle, else ERR_MCP. */
  async callTool(call: ToolCall): Promise<CallToolResult> {
    this.#calls++;
    try {
      return await this.#client.callTool(
        { name: call.name, arguments: call.args },
        {
          signal: call.signal,
          timeout: call.timeoutMs,
          onprogress: (progress) => {
            const { message } = progress;
            if (!message) return;
            call.onOutput(outputStream(progress), message);
          },
        },
      );
    } catch (error) {
      throw this.#describe(error, call);
    } finally {
      this.#calls--;
      this.#usedAt = performance.now();
    }
  }

  /** For how long no tool has run in it; 0 while one does. */
  get idleMs(): number {
    return this.#calls > 0 ? 0 : performance.now() - this.#usedAt;
  }

  /** Resolves with whether it has gone, workspace saved. False: it could not be saved, and is as before; asked again later. */
  async hibernate(log: Logger): Promise<boolean> {
    this.#leaving = true;
    try {
      await this.#host.hibernate(this.sandbox);
    } catch (error) {
      this.#leaving = false;
      this.#usedAt = performance.now();
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
    delete this.#client.onclose;
    await this.#client.close();
    await this.#transport.close();
  }

  #describe(error: unknown, call: ToolCall): FairleadError {
    if (isFairleadError(error)) return error;
    if (call.signal.aborted) return new FairleadError('ERR_CANCELLED', 'cancelled', { cause: error });
    if (this.#transport.exitReason) {
      return new FairleadError('ERR_SANDBOX', `the sandbox ended while the tool ran: ${this.#transport.exitReason}`, {
        cause: error,
      });
    }
    if (error instanceof SdkError && error.code === SdkErrorCode.RequestTimeout) {
      return new FairleadError('ERR_MCP', `the tool did not finish within ${call.timeoutMs} ms`, { cause: error });
    }
    const text = error instanceof ProtocolError || error instanceof Error ? error.message : String(error);
    return new FairleadError('ERR_MCP', text, { cause: error });
  }
}

/** Our workspace server names the stream in the notification's _meta; other servers send plain progress. */
function outputStream(progress: object): 'stdout' | 'stderr' | 'progress' {
  const meta = (progress as { _meta?: Record<string, unknown> })._meta;
  const stream = meta?.['fairlead/stream'];
  return stream === 'stdout' || stream === 'stderr' ? stream : 'progress';
}
