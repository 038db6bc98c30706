/** The MCP server of a sandbox that waits to be leased: handshake, tools, proof of life, hand-over. Docker thread. */
import {
  Client,
  ProtocolError,
  SdkError,
  SdkErrorCode,
  serializeMessage,
  type ClientCapabilities,
  type InitializeResult,
  type JSONRPCMessage,
  type Transport,
} from '@modelcontextprotocol/client';
import { randomBytes } from 'node:crypto';
import { FairleadError, isFairleadError } from '../../../src/shared/errors.js';
import { McpLines } from '../../../src/shared/mcp-lines.js';
import { toToolDefinition, type ToolDefinition } from '../../../src/shared/tool-definition.js';
import { VERSION } from '../../../src/shared/version.js';
import type { RunningSandbox } from '../driver/driver.js';
import type { Handshake } from '../contract/messages.js';

/** What a server may print before it is leased: its tools, and little else. */
const MAX_LINE_BYTES = 4 * 1_048_576;
/** What the last answer to an earlier client may have: as much as that one would have taken. */
const MAX_OLD_LINE_BYTES = 16 * 1_048_576;
/** The revision that has no `initialize`. */
const NEWER_ERA = '2026-07-28';

type Era = Handshake['era'];

export interface GreetOptions {
  server: string;
  capabilities: ClientCapabilities;
  timeoutMs: number;
  /** Another client has had it, and may have left half a line on its stdin and its stdout, and calls that still run. */
  again?: boolean;
  /** Servers of its kind are known to refuse `initialize`. */
  modern?: boolean;
}

export class WarmServer {
  readonly handshake: Handshake;
  readonly #client: Client;
  readonly #transport: WarmTransport;

  private constructor(client: Client, transport: WarmTransport, handshake: Handshake) {
    this.#client = client;
    this.#transport = transport;
    this.handshake = handshake;
  }

  /**
   * In the older era first: nearly all know it, and our own server starts faster with it. One that refuses is asked whether
   * it knows the newer one. ERR_SANDBOX in plain words when it exits, answers garbage or does not answer in time. Destroys nothing.
   */
  static async open(sandbox: RunningSandbox, options: GreetOptions): Promise<WarmServer> {
    const deadline = performance.now() + options.timeoutMs;
    const eras: Era[] = options.modern ? ['modern'] : ['legacy', 'modern'];
    let refusal: Error | undefined;
    for (const era of eras) {
      const timeoutMs = Math.max(1, Math.ceil(deadline - performance.now()));
      try {
        return await WarmServer.#connect(sandbox, { ...options, timeoutMs }, era);
      } catch (error) {
        if (isFairleadError(error)) throw error;
        refusal ??= error as Error;
      }
    }
    const why = `the MCP server ${options.server} refused the handshake: ${refusal?.message}`;
    throw new FairleadError('ERR_SANDBOX', why, { cause: refusal });
  }

  /** ERR_SANDBOX; the SDK's error where the server does not want this era. */
  static async #connect(
    sandbox: RunningSandbox,
    { server, capabilities, timeoutMs, again = false }: GreetOptions,
    era: Era,
  ): Promise<WarmServer> {
    const transport = new WarmTransport(sandbox, again);
    const client = new Client(
      { name: 'fairlead', version: VERSION },
      { capabilities, ...(era === 'modern' ? { versionNegotiation: { mode: { pin: NEWER_ERA } } } : {}) },
    );
    try {
      await client.connect(transport, { timeout: timeoutMs });
      const discover = client.getDiscoverResult();
      if (discover) return new WarmServer(client, transport, { era: 'modern', discover });
      const { initialize } = transport;
      if (initialize === undefined) throw new Error('no answer to initialize');
      return new WarmServer(client, transport, { era: 'legacy', initialize });
    } catch (error) {
      const exit = transport.ended && (await sandbox.exited);
      await client.close();
      const refused =
        error instanceof ProtocolError ||
        (error instanceof SdkError && error.code === SdkErrorCode.EraNegotiationFailed);
      if (!exit && refused) throw error;
      const why = exit
        ? `the sandbox of ${server} ended ${again ? 'when it was greeted again' : 'at its start'}: ${exit.reason}`
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
      // The newer era has no ping; what every server must answer there is this.
      if (this.handshake.era === 'modern') await this.#client.discover({ timeout: timeoutMs });
      else await this.#client.ping({ timeout: timeoutMs });
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
class WarmTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  /** By these two the SDK's probe knows that silence on a pipe means a server of the older era. */
  readonly stderr = null;
  readonly pid = null;
  initialize: InitializeResult | undefined;
  ended = false;
  readonly #sandbox: RunningSandbox;
  readonly #lines: McpLines;
  readonly #again: boolean;
  /** Before our ids: no other client that this server has had, or will have, uses one of them. */
  readonly #idPrefix: string;
  #attached = false;
  /** Of the request whose answer is the handshake. */
  #initializeId: unknown;

  constructor(sandbox: RunningSandbox, again: boolean) {
    this.#sandbox = sandbox;
    this.#again = again;
    this.#idPrefix = again ? `warm-${randomBytes(6).toString('hex')}-` : 'warm-';
    this.#lines = new McpLines(again ? MAX_OLD_LINE_BYTES : MAX_LINE_BYTES);
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
    if (stdout.readableEnded) queueMicrotask(this.#onEnd);
    stdout.resume(); // whoever had it before us may have paused it
    if (this.#again && stdin.writable) stdin.write('\n');
  }

  async send(message: JSONRPCMessage): Promise<void> {
    if (!this.#attached) throw new FairleadError('ERR_SANDBOX', 'the sandbox has been handed over');
    const { stdin } = this.#sandbox;
    if ('method' in message && message.method === 'initialize' && 'id' in message) this.#initializeId = message.id;
    const own = 'id' in message && 'method' in message ? { ...message, id: `${this.#idPrefix}${message.id}` } : message;
    if (stdin.writable) stdin.write(serializeMessage(own)); // else its end is on its way
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
    if (!message.id.startsWith(this.#idPrefix)) return;
    const text = message.id.slice(this.#idPrefix.length);
    const id = /^\d+$/.test(text) ? Number(text) : text; // those of the probe are no numbers
    if (id === this.#initializeId && 'result' in message)
      this.initialize = message.result as unknown as InitializeResult;
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
