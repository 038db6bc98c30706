/** One session's connection to a `url` server. Agent threads. */
import type { CallToolResult, ProtocolEra } from '@modelcontextprotocol/client';
import { FairleadError } from '../../../../src/shared/errors.js';
import { bounded, describeFailure } from '../../http/failures.js';
import type { HostClient } from '../host/host-client.js';
import type { InputAnswers, InputWanted } from '../host/input-wanted.js';
import type {
  Caller,
  ServerConnection,
  ServerRequest,
  ServerRequestOptions,
  ToolCall,
} from '../host/server-connection.js';
import type { OpenedConnection } from './opening.js';
import type { RemoteServer } from './remote-server.js';

/** Before a login its capabilities are unknown. It may have all; a request for one leads to the login. */
const UNKNOWN = { tools: {}, prompts: {}, resources: {} };

/** Holds nothing, and needs no close. */
export class RemoteConnection implements ServerConnection {
  readonly #remote: RemoteServer;
  readonly #caller: Caller;
  #opened: OpenedConnection | undefined;

  constructor(remote: RemoteServer, caller: Caller, opened: OpenedConnection | undefined) {
    this.#remote = remote;
    this.#caller = caller;
    this.#opened = opened;
  }

  get era(): ProtocolEra {
    return this.#opened?.client.era ?? 'legacy';
  }

  get capabilities(): Readonly<Record<string, unknown>> {
    return this.#opened?.client.capabilities ?? UNKNOWN;
  }

  callTool(call: ToolCall): Promise<CallToolResult> {
    return this.#run('tools/call', call, (client) => client.callTool(call));
  }

  sendToolCall(call: ToolCall, answers: InputAnswers): Promise<CallToolResult | InputWanted> {
    return this.#run('tools/call', call, (client) => client.sendToolCall(call, answers));
  }

  request(request: ServerRequest): Promise<Record<string, unknown>> {
    const { method, params } = request;
    const isFirstPage = method === 'tools/list' && params['cursor'] === undefined;
    return this.#run(method, request, (client) =>
      isFirstPage ? this.#listTools(client, request) : client.request(request),
    );
  }

  async watchResource(
    uri: string,
    onUpdated: () => void,
    options: { timeoutMs: number },
  ): Promise<() => Promise<void>> {
    const { client } = await this.#remote.open(this.#caller);
    return client.watchResource(uri, onUpdated, options);
  }

  #run<T>(method: string, options: ServerRequestOptions, send: (client: HostClient) => Promise<T>): Promise<T> {
    return this.#remote.run(this.#caller, method, options, (opened) => {
      this.#opened = opened;
      return send(opened.client);
    });
  }

  /** The SDK's own listing: it reads all pages and leaves out tools whose headers the protocol forbids. */
  async #listTools(host: HostClient, request: ServerRequest): Promise<Record<string, unknown>> {
    // Where the server does not say that it has tools, the SDK would not ask.
    if (host.capabilities['tools'] === undefined) return host.request(request);
    const { client } = host;
    const { signal, timeoutMs } = request;
    try {
      return { ...(await client.listTools(undefined, { signal, timeout: timeoutMs, cacheMode: 'refresh' })) };
    } catch (error) {
      if (signal.aborted) throw new FairleadError('ERR_CANCELLED', 'cancelled', { cause: error });
      const { name } = this.#remote;
      const text = `${name}: ${bounded(error instanceof Error ? error.message : String(error))}`;
      throw describeFailure(name, error) ?? new FairleadError('ERR_MCP', text, { cause: error });
    }
  }
}
