/** The MCP server of a warm sandbox: handshake, tools, health check, hand-over. Docker thread. */
import {
  Client,
  ProtocolError,
  SdkError,
  SdkErrorCode,
  serializeMessage,
  type ClientCapabilities,
  type InitializeResult,
  type JSONRPCMessage,
  type Tool,
  type Transport,
} from '@modelcontextprotocol/client';
import { randomBytes } from 'node:crypto';
import { quote } from '../../../src/shared/control-characters.js';
import { FairleadError, isFairleadError } from '../../../src/shared/errors.js';
import { NEWER_PROTOCOL } from '../../../src/shared/mcp-capabilities.js';
import { McpInbox } from '../../../src/shared/mcp-inbox.js';
import { LEFT_OUT } from '../../../src/shared/mcp-lists.js';
import { StderrTail } from '../../../src/shared/stderr-tail.js';
import { toToolDefinitions, type ToolDefinition } from '../../../src/shared/tool-definition.js';
import { VERSION } from '../../../src/shared/version.js';
import type { RunningSandbox } from '../driver/driver.js';
import type { Handshake } from '../contract/messages.js';

/** Longest line of a server before its lease: its list of tools. */
const MAX_LINE_BYTES = 4 * 1_048_576;
/** A server that has said nothing of tools may not answer at all. */
const UNOFFERED_MS = 2_000;
/** Longest line of a server that had a client before: the rest of an answer to that one, as long as it would have taken. */
const MAX_OLD_LINE_BYTES = 16 * 1_048_576;

type Era = Handshake['era'];

export interface HandshakeOptions {
  server: string;
  capabilities: ClientCapabilities;
  timeoutMs: number;
  /** It had another client, which may have left half a line on its stdin and stdout, and calls that still run. */
  again?: boolean;
  /** Servers of this image are known to refuse `initialize`. */
  modern?: boolean;
  /** As configured; absent: whichever it speaks. */
  era?: 'auto' | Era;
  /** Its values are not told. */
  env?: Readonly<Record<string, string>>;
}

export class WarmServer {
  readonly handshake: Handshake;
  /** Tools of the last list that nobody can read, and why. */
  leftOut: readonly string[] = [];
  readonly #client: Client;
  readonly #transport: WarmTransport;

  private constructor(client: Client, transport: WarmTransport, handshake: Handshake) {
    this.#client = client;
    this.#transport = transport;
    this.handshake = handshake;
  }

  /**
   * Tries the older protocol first: nearly all servers speak it, and our own starts faster with it; then the newer one.
   * ERR_SANDBOX when the server exits, prints garbage or does not answer in time. Destroys nothing.
   */
  static async open(sandbox: RunningSandbox, options: HandshakeOptions): Promise<WarmServer> {
    const deadline = performance.now() + options.timeoutMs;
    const eras = erasOf(options);
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
    const why = `the MCP server ${options.server} refused the handshake: ${quote(refusal?.message ?? '')}`;
    throw new FairleadError('ERR_SANDBOX', why, { cause: refusal });
  }

  /** ERR_SANDBOX; the SDK's error when the server refuses this era. */
  static async #connect(
    sandbox: RunningSandbox,
    { server, capabilities, timeoutMs, again = false, env }: HandshakeOptions,
    era: Era,
  ): Promise<WarmServer> {
    const transport = new WarmTransport(sandbox, again, env);
    const client = new Client(
      { name: 'fairlead', version: VERSION },
      { capabilities, ...(era === 'modern' ? { versionNegotiation: { mode: { pin: NEWER_PROTOCOL } } } : {}) },
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
        ? `the sandbox of ${server} ended ${again ? 'at its new handshake' : 'at its start'}: ${exit.reason}${transport.said.told}`
        : `the MCP server ${server} did not answer the handshake within ${timeoutMs} ms${transport.stray && `; its output is not MCP: ${quote(transport.stray)}`}${transport.said.told}`;
      throw new FairleadError('ERR_SANDBOX', why, { cause: error });
    }
  }

  /** All pages, in the server's order. ERR_SANDBOX. */
  async listTools(timeoutMs: number): Promise<ToolDefinition[]> {
    try {
      const { tools, _meta: meta } = await this.#listTools(timeoutMs);
      this.leftOut = (meta?.[LEFT_OUT] ?? []) as string[];
      return toToolDefinitions(tools);
    } catch (error) {
      throw new FairleadError('ERR_SANDBOX', `tools/list failed: ${quote((error as Error).message)}`, { cause: error });
    }
  }

  /** Also of a server that does not say that it has tools: the SDK would not ask it. */
  async #listTools(timeoutMs: number): Promise<{ tools: Tool[]; _meta?: Record<string, unknown> | undefined }> {
    if (this.#client.getServerCapabilities()?.tools) {
      return this.#client.listTools(undefined, { timeout: timeoutMs });
    }
    try {
      const timeout = Math.min(timeoutMs, UNOFFERED_MS);
      return await this.#client.request({ method: 'tools/list' }, { timeout });
    } catch (error) {
      if (error instanceof ProtocolError || isTimeout(error)) return { tools: [] };
      throw error;
    }
  }

  /** Whether it answers a ping in time. */
  async isAlive(timeoutMs: number): Promise<boolean> {
    try {
      // The newer era has no ping; every server must answer `server/discover`.
      if (this.handshake.era === 'modern') await this.#client.discover({ timeout: timeoutMs });
      else await this.#client.ping({ timeout: timeoutMs });
      return true;
    } catch {
      return false; // whatever the error, this sandbox is not leased
    }
  }

  /** Hands the streams over to the next reader, with the bytes of an unfinished line put back. */
  detach(): void {
    this.#transport.detach();
  }
}

function erasOf({ modern = false, era = 'auto' }: HandshakeOptions): Era[] {
  if (era !== 'auto') return [era];
  return modern ? ['modern'] : ['legacy', 'modern'];
}

/** JSON lines over the sandbox's streams, until `detach`. */
class WarmTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage) => void;
  /** The SDK's probe takes a transport with these two for a pipe, where silence means a server of the older era. */
  readonly stderr = null;
  readonly pid = null;
  initialize: InitializeResult | undefined;
  ended = false;
  readonly said: StderrTail;
  readonly #sandbox: RunningSandbox;
  readonly #inbox: McpInbox;
  readonly #again: boolean;
  /** Prefix of our request ids: no earlier or later client of this server uses it. */
  readonly #idPrefix: string;
  #attached = false;
  /** Id of the `initialize` request. */
  #initializeId: unknown;

  constructor(sandbox: RunningSandbox, again: boolean, env?: Readonly<Record<string, string>>) {
    this.#sandbox = sandbox;
    this.said = new StderrTail(env);
    this.#again = again;
    this.#idPrefix = again ? `warm-${randomBytes(6).toString('hex')}-` : 'warm-';
    this.#inbox = new McpInbox({
      maxLineBytes: again ? MAX_OLD_LINE_BYTES : MAX_LINE_BYTES,
      onMessage: (message) => this.#deliver(message),
      onError: (error) => this.onerror?.(error),
      onFlood: () => void this.close(), // `stray` says what it printed
    });
    if (again) this.#inbox.requireIds();
  }

  get stray(): string {
    return this.#inbox.stray;
  }

  async start(): Promise<void> {
    const { stdin, stdout, stderr } = this.#sandbox;
    this.#attached = true;
    stdin.on('error', this.#onStdinError);
    stdout.on('data', this.#onData);
    stdout.once('end', this.#onEnd);
    stderr.on('data', this.#onStderr);
    if (stdout.readableEnded) queueMicrotask(this.#onEnd);
    stdout.resume(); // the reader before may have paused it
    if (this.#again && stdin.writable) stdin.write('\n');
  }

  async send(message: JSONRPCMessage): Promise<void> {
    if (!this.#attached) throw new FairleadError('ERR_SANDBOX', 'the sandbox has been handed over');
    const { stdin } = this.#sandbox;
    if ('method' in message && message.method === 'initialize' && 'id' in message) this.#initializeId = message.id;
    const own = 'id' in message && 'method' in message ? { ...message, id: `${this.#idPrefix}${message.id}` } : message;
    this.#inbox.noteSent(own);
    if (stdin.writable) stdin.write(serializeMessage(own)); // else the sandbox is ending
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
    stderr.off('data', this.#onStderr);
    stdout.pause();
    const rest = this.#inbox.takeRest();
    if (rest.length > 0 && !stdout.readableEnded) stdout.unshift(rest);
    stdin.off('error', this.#onStdinError);
  }

  readonly #onStdinError = (): void => undefined; // the end of stdout reports it

  /** Also so that a full pipe never stops a server that logs. */
  readonly #onStderr = (chunk: Buffer): void => this.said.add(chunk);

  readonly #onData = (chunk: Buffer): void => {
    const { stdout } = this.#sandbox;
    stdout.pause();
    this.#inbox.push(chunk, () => stdout.resume());
  };

  #deliver(message: JSONRPCMessage): void {
    if (!('id' in message) || 'method' in message || typeof message.id !== 'string') {
      this.onmessage?.(message);
      return;
    }
    if (!message.id.startsWith(this.#idPrefix)) return;
    const text = message.id.slice(this.#idPrefix.length);
    const id = /^\d+$/.test(text) ? Number(text) : text; // the probe's ids are no numbers
    if (id === this.#initializeId && 'result' in message)
      this.initialize = message.result as unknown as InitializeResult;
    this.onmessage?.({ ...message, id });
  }

  readonly #onEnd = (): void => {
    this.#inbox.after(() => {
      this.ended = true;
      void this.close();
    });
  };
}

function isTimeout(error: unknown): boolean {
  return error instanceof SdkError && error.code === SdkErrorCode.RequestTimeout;
}
