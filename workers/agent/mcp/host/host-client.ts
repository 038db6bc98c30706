/**
 * Fairlead as an MCP host, over any transport: adds to the SDK's client what it leaves to the application. Matches the
 * server's questions and logs to the request that they belong to, in the legacy and the modern protocol. Agent threads.
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
import { abortable } from '../../../../src/shared/abort.js';
import { FairleadError, isFairleadError } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import { counter } from '../../../../src/shared/metrics.js';
import { MAX_RESULT_META } from '../../../../src/shared/mcp-meta.js';
import type { QuestionOrigin } from '../../../../src/shared/protocol.js';
import type { ToolDefinition } from '../../../../src/shared/tool-definition.js';
import { VERSION } from '../../../../src/shared/version.js';
import { NO_VALIDATOR } from '../../schema/no-validator.js';
import { InputWanted, type InputAnswers } from './input-wanted.js';
import { outputText } from './progress-text.js';
import { ProofOfLife, type ProofOfLifeOptions } from './proof-of-life.js';
import { ResourceWatches, type WatchOptions } from './resource-watches.js';
import { answerOne, answerAll, refuseUnsupported, type Asked } from './server-asks.js';
import type { ServerRequestOptions, ServerConnection, ServerRequest, ToolCall } from './server-connection.js';
import { ServerLog } from './server-log.js';
import { UrlQuestions } from './url-questions.js';

/** Limit on how often a server may ask for input within one call. */
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
  /** `sandbox`: what the server asks may come from any code there. */
  origin?: QuestionOrigin | undefined;
  /** The folders that the server may work in. */
  roots?: readonly Root[];
  log: Logger;
  /** Without it, the legacy protocol only. */
  versionNegotiation?: ClientOptions['versionNegotiation'];
  /** Called each time the server says that its tools have changed. */
  onToolsChanged?: (() => void) | undefined;
  /** The transport's explanation of a failed request; undefined when it has none. */
  describeFailure?: (error: unknown) => FairleadError | undefined;
  /** Told to the server with each call of a tool. */
  maxResultBytes?: number;
  /** More to tell with one call of that tool; asked once for each. */
  callMeta?: (tool: string) => Record<string, unknown> | undefined;
  /** Absent: a silent server may take all of a request's time. */
  life?: Omit<ProofOfLifeOptions, 'ask'>;
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
  /** Our running requests. A legacy server's own requests do not say to which of these they belong. */
  readonly #running = new Set<ServerRequestOptions>();
  readonly #life: ProofOfLife | undefined;
  #usedAt = performance.now();

  constructor(options: HostClientOptions) {
    const { server, capabilities, log, versionNegotiation, onToolsChanged } = options;
    this.#options = options;
    this.#serverLog = new ServerLog(server, log);
    this.#life = options.life && new ProofOfLife({ ...options.life, ask: (timeoutMs) => this.#answers(timeoutMs) });
    this.client = new Client(
      { name: 'fairlead', version: VERSION },
      {
        capabilities,
        jsonSchemaValidator: NO_VALIDATOR,
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

  /** How long no request has run; 0 while one runs, and while a resource is watched. */
  get idleMs(): number {
    return this.#watches.size > 0 ? 0 : this.quietMs;
  }

  /** How long no request has run, whatever is watched. */
  get quietMs(): number {
    return this.#running.size > 0 ? 0 : performance.now() - this.#usedAt;
  }

  callTool(call: ToolCall): Promise<CallToolResult> {
    return this.#withAnswers(call, (answers) => this.#sendToolCall(call, answers));
  }

  sendToolCall(call: ToolCall, answers: InputAnswers): Promise<CallToolResult | InputWanted> {
    return this.#run(call, async () => {
      const result = await this.#sendToolCall(call, answers);
      return isInputRequiredResult(result) ? this.#wanted(result) : result;
    });
  }

  #wanted(result: InputRequiredResult): InputWanted {
    const wanted = new InputWanted(result, this.#options.roots ?? []);
    for (const asked of Object.values(wanted.requests)) refuseUnsupported(this.#options, (asked as Asked).method);
    return wanted;
  }

  request(request: ServerRequest): Promise<Record<string, unknown>> {
    const { method, params } = request;
    // The SDK finds the result's schema by the method's name; its types want that name as a literal.
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
    const { maxResultBytes, callMeta } = this.#options;
    const meta = {
      ...(maxResultBytes !== undefined && { [MAX_RESULT_META]: maxResultBytes }),
      ...callMeta?.(name),
    };
    const params = this.#paramsOf(call, { name, arguments: args }, answers, meta);
    return this.client.callTool(params as typeof params & { name: string }, {
      ...sdkOptions(call),
      // Without the output schema: a result that only asks for input cannot fit it.
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
    given?: Record<string, unknown>,
  ): Record<string, unknown> {
    const meta = { ...given, ...(logLevel && this.era === 'modern' ? { [LOG_LEVEL_META_KEY]: logLevel } : {}) };
    return { ...params, ...(Object.keys(meta).length > 0 ? { _meta: meta } : {}), ...answers };
  }

  /** A modern server asks by its result: the questions are asked, and the request is sent again with the answers. */
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
      const result = this.#life ? await this.#life.guard(work) : await work();
      requestsTotal.inc({ server, ok: 'true' });
      return result;
    } catch (error) {
      requestsTotal.inc({ server, ok: 'false' });
      const told = this.#describe(error, request);
      // To find out, and to replace a dead one, takes longer than somebody may wait who has cancelled it meanwhile.
      const dead = isTimeout(error) && (await abortable(async () => this.#life?.check(), request.signal));
      throw dead ? new FairleadError('ERR_SANDBOX', `${told.message}; ${dead.message}`, { cause: error }) : told;
    } finally {
      this.#running.delete(request);
      this.#usedAt = performance.now();
    }
  }

  /** Whether it answers at all; an error is an answer too. */
  async #answers(timeoutMs: number): Promise<boolean> {
    try {
      // The newer era has no ping; every server must answer `server/discover`.
      if (this.era === 'modern') await this.client.discover({ timeout: timeoutMs });
      else await this.client.ping({ timeout: timeoutMs });
      return true;
    } catch (error) {
      return !isTimeout(error);
    }
  }

  #answer(method: Asked['method']): void {
    this.client.setRequestHandler(
      method,
      async ({ params }, { mcpReq }) =>
        // The type here is the union of all results; the SDK checks each against its method's schema.
        (await this.#answerOne({ method, params } as Asked, mcpReq.signal)) as never,
    );
  }

  #answerOne(asked: Asked, signal: AbortSignal): Promise<Record<string, unknown>> {
    const asks = this.#whose();
    const answer = (until: AbortSignal): ReturnType<typeof answerOne> => answerOne(this.#options, asked, asks, until);
    const { elicitationId: id } = (asked.params ?? {}) as { elicitationId?: unknown };
    return typeof id === 'string' ? this.#urls.ask(id, signal, answer) : answer(signal);
  }

  /** When several sessions share a legacy server, nobody can tell which one it means, and nobody is asked. */
  #whose(): ServerRequestOptions['asks'] {
    if (this.#running.size === 0) throw new FairleadError('ERR_MCP', 'no request runs that this could belong to');
    const request = this.#ofOneOwner();
    if (!request)
      throw new FairleadError('ERR_MCP', 'several sessions use this server now: use protocol 2026-07-28 or later');
    return request.asks;
  }

  /**
   * The newest running request, if all have the same owner: one owner's question must not reach another. What runs in the
   * background counts where nothing else does: a session's first call runs beside the list of the tools that its server has changed.
   */
  #ofOneOwner(): ServerRequestOptions | undefined {
    const running = [...this.#running];
    const calls = running.filter(({ background }) => background !== true);
    const candidates = calls.length > 0 ? calls : running;
    const newest = candidates.at(-1);
    return newest && candidates.every((each) => ownerOf(each) === ownerOf(newest)) ? newest : undefined;
  }

  #describe(error: unknown, { signal, timeoutMs }: Pick<ServerRequestOptions, 'signal' | 'timeoutMs'>): FairleadError {
    if (isFairleadError(error)) return error;
    if (signal.aborted) return new FairleadError('ERR_CANCELLED', 'cancelled', { cause: error });
    const described = this.#options.describeFailure?.(error);
    if (described) return described;
    if (isTimeout(error)) {
      return new FairleadError('ERR_MCP', `the server did not answer within ${timeoutMs} ms`, { cause: error });
    }
    const text = error instanceof ProtocolError || error instanceof Error ? error.message : String(error);
    return new FairleadError('ERR_MCP', text, { cause: error });
  }
}

export function isTimeout(error: unknown): boolean {
  return error instanceof SdkError && error.code === SdkErrorCode.RequestTimeout;
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
