/**
 * Fairlead as an MCP host, over any transport: what the SDK's client leaves to the application. Questions and logs of the
 * server find the request they belong to, in both eras. Agent threads.
 */
import {
  Client,
  isInputRequiredResult,
  LOG_LEVEL_META_KEY,
  ProtocolError,
  SdkError,
  SdkErrorCode,
  type CallToolResult,
  type ClientCapabilities,
  type ClientOptions,
  type ConnectOptions,
  type InputRequiredResult,
  type Root,
  type Tool,
  type Transport,
  type ProtocolEra,
} from '@modelcontextprotocol/client';
import { FairleadError, isFairleadError } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import { counter } from '../../../../src/shared/metrics.js';
import type { ToolDefinition } from '../../../../src/shared/tool-definition.js';
import { VERSION } from '../../../../src/shared/version.js';
import { InputWanted, type InputAnswers } from './input-wanted.js';
import { outputText } from './progress-text.js';
import { ResourceWatches, type WatchOptions } from './resource-watches.js';
import { answerOne, answerAll, type Asked } from './server-asks.js';
import type { ServerRequestOptions, ServerConnection, ServerRequest, ToolCall } from './server-connection.js';
import { ServerLog } from './server-log.js';
import { UrlQuestions } from './url-questions.js';

/** How often one call may come back for more of the person. */
const MAX_INPUT_ROUNDS = 10;

const requestsTotal = counter('fairlead_mcp_requests_total', 'Requests to MCP servers, by how they ended', [
  'server',
  'ok',
]);

const NEVER = new AbortController().signal;

export interface HostClientOptions {
  /** Key in `mcpServers`. */
  server: string;
  capabilities: ClientCapabilities;
  /** The folders that it may work in. */
  roots?: readonly Root[];
  log: Logger;
  /** The legacy era alone without it. */
  versionNegotiation?: ClientOptions['versionNegotiation'];
  /** The server says that its tools are others now; as often as it says so. */
  onToolsChanged?: (() => void) | undefined;
  /** Why the other side ended, in the words of whoever made the transport; asked when a request fails. */
  describeFailure?: (error: unknown) => FairleadError | undefined;
}

type UntypedRequest = (
  request: { method: string; params: Record<string, unknown> },
  options: object,
) => Promise<Record<string, unknown>>;

export class HostClient implements ServerConnection {
  readonly client: Client;
  readonly #options: HostClientOptions;
  readonly #serverLog: ServerLog;
  readonly #watches: ResourceWatches;
  readonly #urls = new UrlQuestions();
  /** Requests of ours that run: a legacy server's own requests do not say to which they belong. */
  readonly #running = new Set<ServerRequestOptions>();
  #usedAt = performance.now();

  constructor(options: HostClientOptions) {
    const { server, capabilities, log, versionNegotiation, onToolsChanged } = options;
    this.#options = options;
    this.#serverLog = new ServerLog(server, log);
    this.client = new Client(
      { name: 'fairlead', version: VERSION },
      {
        capabilities,
        inputRequired: { autoFulfill: false },
        ...(versionNegotiation ? { versionNegotiation } : {}),
        ...(onToolsChanged
          ? { listChanged: { tools: { autoRefresh: false, debounceMs: 0, onChanged: () => onToolsChanged() } } }
          : {}),
      },
    );
    this.client.onerror = (error) => log.debug({ server, err: error.message }, 'mcp protocol error');
    this.client.setNotificationHandler('notifications/message', ({ params }) => {
      this.#serverLog.write(params);
      this.#ofOneOwner()?.onLog?.(params);
    });
    this.#watches = new ResourceWatches(this.client);
    this.client.setNotificationHandler('notifications/elicitation/complete', ({ params }) =>
      this.#urls.complete(params.elicitationId),
    );
    if (capabilities.elicitation) this.#answer('elicitation/create');
    if (capabilities.sampling) this.#answer('sampling/createMessage');
    if (capabilities.roots) this.#answer('roots/list');
  }

  connect(transport: Transport, options?: ConnectOptions): Promise<void> {
    return this.client.connect(transport, options);
  }

  get era(): ProtocolEra {
    return this.client.getProtocolEra() ?? 'legacy';
  }

  get capabilities(): Readonly<Record<string, unknown>> {
    return this.client.getServerCapabilities() ?? {};
  }

  /** For how long nothing has been asked; 0 while something is, and while a resource is watched. */
  get idleMs(): number {
    return this.#running.size > 0 || this.#watches.size > 0 ? 0 : performance.now() - this.#usedAt;
  }

  callTool(call: ToolCall): Promise<CallToolResult> {
    return this.#withAnswers(call, (answers) => this.#sendToolCall(call, answers));
  }

  sendToolCall(call: ToolCall, answers: InputAnswers): Promise<CallToolResult | InputWanted> {
    return this.#run(call, async () => {
      const result = await this.#sendToolCall(call, answers);
      return isInputRequiredResult(result) ? new InputWanted(result, this.#options.roots ?? []) : result;
    });
  }

  request(request: ServerRequest): Promise<Record<string, unknown>> {
    const { method, params } = request;
    // By the method's name the SDK knows the result's schema; its types want to know the name as well.
    const send: UntypedRequest = this.client.request.bind(this.client);
    return this.#withAnswers(request, (answers) =>
      send({ method, params: this.#paramsOf(request, params, answers) }, sdkOptions(request)),
    );
  }

  async watchResource(uri: string, onUpdated: () => void, options: WatchOptions): Promise<() => Promise<void>> {
    try {
      return await this.#watches.add(uri, onUpdated, options);
    } catch (error) {
      throw this.#describe(error, { ...options, signal: NEVER });
    }
  }

  async close(): Promise<void> {
    await this.client.close();
  }

  #sendToolCall(call: ToolCall, answers: InputAnswers): Promise<CallToolResult | InputRequiredResult> {
    const { name, args, definition } = call;
    const params = this.#paramsOf(call, { name, arguments: args }, answers);
    return this.client.callTool(params as typeof params & { name: string }, {
      ...sdkOptions(call),
      // Without its output schema, which an answer that only asks for input cannot fit.
      ...(definition ? { toolDefinition: headersOf(definition) } : {}),
      onprogress: (progress) => {
        call.onProgress?.(progress);
        const { stream, text } = outputText(progress);
        if (text !== '') call.onOutput(stream, text);
      },
    });
  }

  #paramsOf(
    { logLevel }: ServerRequestOptions,
    params: Record<string, unknown>,
    answers: InputAnswers,
  ): Record<string, unknown> {
    const meta = logLevel && this.era === 'modern' ? { _meta: { [LOG_LEVEL_META_KEY]: logLevel } } : {};
    return { ...params, ...meta, ...answers };
  }

  /** The modern era's questions come as an answer: they are put, and the request is made again with what was said. */
  #withAnswers<T extends object>(
    request: ServerRequestOptions,
    send: (answers: InputAnswers) => Promise<T | InputRequiredResult>,
  ): Promise<T> {
    return this.#run(request, async () => {
      let answers: InputAnswers = {};
      for (let round = 0; round <= MAX_INPUT_ROUNDS; round++) {
        const result = await send(answers);
        if (!isInputRequiredResult(result)) return result;
        const inputResponses = await answerAll(this.#options, result, request);
        const { requestState } = result;
        answers = {
          ...(Object.keys(inputResponses).length > 0 ? { inputResponses } : {}),
          ...(requestState === undefined ? {} : { requestState }),
        };
      }
      throw new FairleadError('ERR_MCP', `the server still asks for input after ${MAX_INPUT_ROUNDS} rounds`);
    });
  }

  async #run<T>(request: ServerRequestOptions, work: () => Promise<T>): Promise<T> {
    const { server } = this.#options;
    this.#running.add(request);
    try {
      const result = await work();
      requestsTotal.inc({ server, ok: 'true' });
      return result;
    } catch (error) {
      requestsTotal.inc({ server, ok: 'false' });
      throw this.#describe(error, request);
    } finally {
      this.#running.delete(request);
      this.#usedAt = performance.now();
    }
  }

  #answer(method: Asked['method']): void {
    this.client.setRequestHandler(
      method,
      async ({ params }, { mcpReq }) =>
        // Each answer fits its method's schema, which the SDK checks once more; the union of all is what it wants here.
        (await this.#answerOne({ method, params } as Asked, mcpReq.signal)) as never,
    );
  }

  #answerOne(asked: Asked, signal: AbortSignal): Promise<Record<string, unknown>> {
    const asks = this.#whose();
    const answer = (until: AbortSignal): ReturnType<typeof answerOne> => answerOne(this.#options, asked, asks, until);
    const { elicitationId: id } = (asked.params ?? {}) as { elicitationId?: unknown };
    return typeof id === 'string' ? this.#urls.ask(id, signal, answer) : answer(signal);
  }

  /** Of several sessions that share one legacy server nobody can tell whom it means: nobody is asked then. */
  #whose(): ServerRequestOptions['asks'] {
    if (this.#running.size === 0) throw new FairleadError('ERR_MCP', 'nothing runs that this could be about');
    const request = this.#ofOneOwner();
    if (!request) throw new FairleadError('ERR_MCP', 'several sessions use this server now: use the newer protocol');
    return request.asks;
  }

  /** The newest request, when all that run are one owner's: what is not said to be of one must not reach another. */
  #ofOneOwner(): ServerRequestOptions | undefined {
    let newest: ServerRequestOptions | undefined;
    for (const request of this.#running) {
      if (newest && ownerOf(request) !== ownerOf(newest)) return undefined;
      newest = request;
    }
    return newest;
  }

  #describe(error: unknown, { signal, timeoutMs }: Pick<ServerRequestOptions, 'signal' | 'timeoutMs'>): FairleadError {
    if (isFairleadError(error)) return error;
    if (signal.aborted) return new FairleadError('ERR_CANCELLED', 'cancelled', { cause: error });
    const described = this.#options.describeFailure?.(error);
    if (described) return described;
    if (error instanceof SdkError && error.code === SdkErrorCode.RequestTimeout) {
      return new FairleadError('ERR_MCP', `the server did not answer within ${timeoutMs} ms`, { cause: error });
    }
    const text = error instanceof ProtocolError || error instanceof Error ? error.message : String(error);
    return new FairleadError('ERR_MCP', text, { cause: error });
  }
}

function sdkOptions({ signal, timeoutMs }: ServerRequestOptions): {
  signal: AbortSignal;
  timeout: number;
  allowInputRequired: true;
} {
  return { signal, timeout: timeoutMs, allowInputRequired: true };
}

function headersOf({ name, inputSchema }: ToolDefinition): Tool {
  return { name, inputSchema: inputSchema as Tool['inputSchema'] };
}

function ownerOf({ asks }: ServerRequestOptions): unknown {
  return asks.owner ?? asks;
}
