/** The MCP server of a sandbox that waits to be leased: handshake, tools, proof of life, hand-over. Docker thread. */
import {
  Client,
  ProtocolError,
  serializeMessage,
  type InitializeResult,
  type JSONRPCMessage,
  type Transport,
} from '@modelcontextprotocol/client';
import { FairleadError } from '../../src/errors.js';
import { McpLines } from '../../src/mcp-lines.js';
import { toToolDefinition, type ToolDefinition } from '../../src/tool-definition.js';
import { VERSION } from '../../src/version.js';
import type { RunningSandbox } from './driver.js';

/** What a server may print before it is leased: its tools, and little else. */
const MAX_LINE_BYTES = 4 * 1_048_576;
/** Before our ids, so that the session's own client, which counts from zero, uses none a second time. */
const ID_PREFIX = 'warm-';

/** MCP's `initialize` result, as the server sent it: the session's client is given it instead of asking again. */
export type Handshake = InitializeResult;

export class WaitingServer {
  readonly handshake: Handshake;
  readonly #client: Client;
  readonly #transport: ShelfTransport;

  private constructor(client: Client, transport: ShelfTransport, handshake: Handshake) {
    this.#client = client;
    this.#transport = transport;
    this.handshake = handshake;
  }

  /** ERR_SANDBOX in plain words when it exits, answers garbage or does not answer in time. Destroys nothing. */
  static async open(
    sandbox: RunningSandbox,
    { server, timeoutMs }: { server: string; timeoutMs: number },
  ): Promise<WaitingServer> {
    const transport = new ShelfTransport(sandbox);
    const client = new Client({ name: 'fairlead', version: VERSION }, { capabilities: {} });
    try {
      await client.connect(transport, { timeout: timeoutMs });
      const { handshake } = transport;
      if (handshake === undefined) throw new Error('no answer to initialize');
      return new WaitingServer(client, transport, handshake);
    } catch (error) {
      const exit = transport.ended && (await sandbox.exited);
      await client.close();
      const why = exit
        ? `the sandbox of ${server} ended at its start: ${exit.reason}`
        : error instanceof ProtocolError
          ? `the MCP server ${server} refused the handshake: ${error.message}`
          : `the MCP server ${server} did not answer the handshake within ${timeoutMs} ms${transport.stray && `; it printed what is no MCP: ${transport.stray}`}`;
      throw new FairleadError('ERR_SANDBOX', why, { cause: error });
    }
  }

  /** All pages, in the server's order. ERR_SANDBOX. */
  async listTools(timeoutMs: number): Promise<ToolDefinition[]> {
    try {
      const { tools } = await this.#client.listTools(undefined, { timeout: timeoutMs });
      return tools.map((tool) => toToolDefinition(tool));
    } catch (error) {
      throw new FairleadError('ERR_SANDBOX', `tools/list failed: ${(error as Error).message}`, { cause: error });
    }
  }

  /** Does it answer? */
  async isAlive(timeoutMs: number): Promise<boolean> {
    try {
      await this.#client.ping({ timeout: timeoutMs });
      return true;
    } catch {
      return false; // whatever it is, this one is not given to anybody
    }
  }

  /** Lets go of the streams, for whoever reads them next; what was read of an unfinished line is put back. */
  detach(): void {
    this.#transport.detach();
  }
}

/** JSON lines over the sandbox's own streams, until they are handed over. */
class ShelfTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  handshake: Handshake | undefined;
  ended = false;
  readonly #sandbox: RunningSandbox;
  readonly #lines = new McpLines(MAX_LINE_BYTES);
  #attached = false;

  constructor(sandbox: RunningSandbox) {
    this.#sandbox = sandbox;
  }

  get stray(): string {
    return this.#lines.stray;
  }

  async start(): Promise<void> {
    const { stdin, stdout, stderr } = this.#sandbox;
    this.#attached = true;
    stdin.on('error', this.#onStdinError);
    stdout.on('data', this.#onData);
    stdout.once('end', this.#onEnd);
    stderr.on('data', ignore);
  }

  async send(message: JSONRPCMessage): Promise<void> {
    if (!this.#attached) throw new FairleadError('ERR_SANDBOX', 'the sandbox has been handed over');
    const own = 'id' in message && 'method' in message ? { ...message, id: `${ID_PREFIX}${message.id}` } : message;
    this.#sandbox.stdin.write(serializeMessage(own));
  }

  async close(): Promise<void> {
    this.detach();
    this.onclose?.();
  }

  detach(): void {
    if (!this.#attached) return;
    this.#attached = false;
    const { stdout, stderr, stdin } = this.#sandbox;
    stdout.off('data', this.#onData);
    stdout.off('end', this.#onEnd);
    stderr.off('data', ignore);
    stdout.pause();
    const rest = this.#lines.takeRest();
    if (rest.length > 0 && !stdout.readableEnded) stdout.unshift(rest);
    stdin.off('error', this.#onStdinError);
  }

  readonly #onStdinError = (): void => undefined; // told by the end of its output

  readonly #onData = (chunk: Buffer): void => {
    try {
      for (const message of this.#lines.read(chunk)) this.#deliver(message);
    } catch {
      void this.close(); // too much of what is no MCP: `stray` tells
    }
  };

  #deliver(message: JSONRPCMessage): void {
    if (!('id' in message) || 'method' in message || typeof message.id !== 'string') {
      this.onmessage?.(message);
      return;
    }
    if (!message.id.startsWith(ID_PREFIX)) return;
    const id = Number(message.id.slice(ID_PREFIX.length));
    if (this.handshake === undefined && 'result' in message) this.handshake = message.result as unknown as Handshake;
    this.onmessage?.({ ...message, id });
  }

  readonly #onEnd = (): void => {
    this.ended = true;
    void this.close();
  };
}

function ignore(): void {
  // Read, so that a server that logs does not stop at a full pipe; nobody's session is behind it yet.
}
