/** A stand-in for the Anthropic API: real HTTP on port 0, scripted by the test, strict about what it is sent. Runs in tests. */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { isObject, validateMessages } from './messages-rules.js';
import { defaultReply, type Reply, type RequestBody } from './model-replies.js';
import { newId, sendJson, writeJson, writeStream, type Ending, type Sent } from './model-stream.js';
import { deferred } from './processes.js';
import { ThinkingMemory } from './thinking-memory.js';

export { lastText, offeredTool, text, tool, toolResults } from './model-replies.js';
export type { Block, Reply, RequestBody, Step } from './model-replies.js';

const MAX_BODY_BYTES = 32 * 1024 * 1024;
const DEFAULT_TIMEOUT_MS = 30_000;

const ERROR_TYPES: Record<number, string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  500: 'api_error',
  504: 'timeout_error',
  529: 'overloaded_error',
};

export interface ModelRequest {
  /** 0 for the first request of this server. */
  index: number;
  body: RequestBody;
  headers: IncomingHttpHeaders;
  /** How its answer ended; `aborted` is the client's doing. */
  ended: Promise<Ending>;
}

export type Script = (request: ModelRequest) => Reply | Promise<Reply>;

export interface ModelServerOptions {
  port?: number;
  script?: Script;
  /** The only key that is let in; any key without it, but one there must be. */
  apiKey?: string;
  /** How many requests are kept in `requests`, newest last; 0 for benches. */
  keep?: number;
  models?: string[];
  /** Messages of role `system` pass where the request's betas allow them, and the script does not see them; refused otherwise. */
  betas?: boolean;
}

export async function startModelServer(options: ModelServerOptions = {}): Promise<ModelServer> {
  const server = new ModelServer(options);
  await server.listen(options.port ?? 0);
  return server;
}

export class ModelServer {
  readonly requests: ModelRequest[] = [];
  /** What the real API would have refused, in words; a test ends with this empty. */
  readonly violations: string[] = [];
  /** All requests to /v1/messages so far, kept or not. */
  count = 0;
  /** Streams under way. */
  active = 0;
  url = '';
  readonly #options: Required<Omit<ModelServerOptions, 'port' | 'script' | 'apiKey'>> & { apiKey?: string | undefined };
  readonly #http: Server;
  readonly #queue: Reply[] = [];
  readonly #arrivals = new Set<() => void>();
  readonly #thinking = new ThinkingMemory();
  #script: Script;

  constructor(options: ModelServerOptions) {
    this.#options = {
      apiKey: options.apiKey,
      keep: options.keep ?? 1000,
      betas: options.betas ?? false,
      models: options.models ?? ['claude-sonnet-5-5', 'claude-opus-5-5', 'claude-haiku-5-5'],
    };
    this.#script = options.script ?? ((request) => defaultReply(request.body));
    this.#http = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => this.#fault(response, error));
    });
    this.#http.keepAliveTimeout = 0; // a pooled connection must not be closed just as the client takes it again
    this.#http.requestTimeout = 0;
  }

  /** Answers every request that the queue does not. */
  script(script: Script): void {
    this.#script = script;
  }

  /** Answers the next requests, one each, before the script is asked. */
  enqueue(...replies: Reply[]): void {
    this.#queue.push(...replies);
  }

  /** How many enqueued replies are still waiting; a test ends with 0. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Resolves with the request of that index (0 is the first), already here or yet to come. */
  async waitForRequest(index: number, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<ModelRequest> {
    let onArrival: (() => void) | undefined;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<ModelRequest>((resolve, reject) => {
        onArrival = () => {
          const request = this.requests.find((request) => request.index === index);
          if (request) resolve(request);
        };
        this.#arrivals.add(onArrival);
        timer = setTimeout(
          () => reject(new Error(`no model request ${index} in ${timeoutMs} ms; there were ${this.count}`)),
          timeoutMs,
        );
        onArrival();
      });
    } finally {
      clearTimeout(timer);
      if (onArrival) this.#arrivals.delete(onArrival);
    }
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#http.once('error', reject);
      this.#http.listen({ port, host: '127.0.0.1', backlog: 4096 }, resolve);
    });
    this.url = `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  /** Ends every socket, also those in the middle of an answer. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    this.#http.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('request-id', newId('req'));
    const path = new URL(request.url ?? '/', 'http://localhost').pathname;
    const raw = await readBody(request);
    if (raw === undefined) return sendError(response, 413, { message: 'Request exceeds the maximum size' });
    if (!this.#known(request.headers)) return sendError(response, 401, { message: 'invalid x-api-key' });
    if (request.headers['anthropic-version'] === undefined) {
      return sendError(response, 400, { message: 'anthropic-version: header is required' });
    }
    if (request.method === 'GET' && path.startsWith('/v1/models')) return this.#models(path, response);
    if (request.method !== 'POST' || path !== '/v1/messages') return sendError(response, 404, { message: 'Not found' });
    await this.#messages(raw, request, response);
  }

  async #messages(raw: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const sent = parse(raw);
    const body = this.#options.betas ? withoutBetas(sent, request.headers) : sent;
    const problems = [...validateMessages(body), ...this.#thinking.check(body)];
    const index = this.count++;
    if (problems.length > 0 || !isRequestBody(body)) {
      this.violations.push(...problems);
      return sendError(response, 400, { message: problems.join('; ') });
    }
    const { promise: ended, resolve: settle } = deferred<Ending>();
    const received: ModelRequest = { index, body, headers: request.headers, ended };
    this.#remember(received);
    this.active++;
    let ending: Ending = 'errored';
    try {
      const reply = this.#queue.shift() ?? (await this.#script(received));
      const sent = await answer(response, reply, body);
      this.#thinking.remember(sent.blocks);
      ending = sent.ending;
    } finally {
      this.active--;
      settle(ending);
    }
  }

  #remember(request: ModelRequest): void {
    if (this.#options.keep > 0) this.requests.push(request);
    if (this.requests.length > this.#options.keep) this.requests.shift();
    for (const arrived of this.#arrivals) arrived();
  }

  #known(headers: IncomingHttpHeaders): boolean {
    const key = headers['x-api-key'] ?? headers.authorization?.replace(/^Bearer /, '');
    if (key === undefined || key === '') return false;
    return this.#options.apiKey === undefined || key === this.#options.apiKey;
  }

  #models(path: string, response: ServerResponse): void {
    const data = this.#options.models.map((id) => ({
      type: 'model',
      id,
      display_name: id,
      created_at: '2026-01-01T00:00:00Z',
      lifecycle: 'active',
    }));
    if (path === '/v1/models') {
      sendJson(response, 200, {
        data,
        has_more: false,
        first_id: data[0]?.id ?? null,
        last_id: data.at(-1)?.id ?? null,
      });
      return;
    }
    const model = data.find((model) => path === `/v1/models/${model.id}`);
    if (model) sendJson(response, 200, model);
    else sendError(response, 404, { message: `model: ${path.slice('/v1/models/'.length)}` });
  }

  /** A script that throws is a fault of the test: it is recorded, and the client sees a 500. */
  #fault(response: ServerResponse, error: unknown): void {
    this.violations.push(
      `the script failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
    if (response.headersSent) response.socket?.destroy();
    else sendError(response, 500, { message: 'Internal server error' });
  }
}

async function answer(response: ServerResponse, reply: Reply, body: RequestBody): Promise<Sent> {
  for (const [name, value] of Object.entries(reply.headers ?? {})) response.setHeader(name, value);
  if (reply.html !== undefined) {
    response.writeHead(reply.status ?? 502, { 'content-type': 'text/html' }).end(reply.html);
    return { ending: 'errored', blocks: [] };
  }
  if (reply.status !== undefined && reply.status !== 200) {
    if (reply.gate) await reply.gate;
    if (reply.retryAfter !== undefined) response.setHeader('retry-after', String(reply.retryAfter));
    sendError(response, reply.status, reply.error ?? {});
    return { ending: 'errored', blocks: [] };
  }
  return await (body.stream === true ? writeStream(response, reply, body) : writeJson(response, reply, body));
}

function sendError(response: ServerResponse, status: number, error: { type?: string; message?: string }): void {
  const type = error.type ?? ERROR_TYPES[status] ?? 'api_error';
  sendJson(response, status, {
    type: 'error',
    error: { type, message: error.message ?? `stand-in ${type}` },
    request_id: response.getHeader('request-id'),
  });
}

/** The whole body, or undefined where it is over the API's limit. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  return bytes > MAX_BODY_BYTES ? undefined : Buffer.concat(chunks).toString('utf8');
}

function parse(raw: string): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    return undefined; // the rules say what is wrong with it
  }
}

/** Clients of the beta tell the model of their surroundings in the middle of a conversation. */
function withoutBetas(body: unknown, headers: IncomingHttpHeaders): unknown {
  if (!isRequestBody(body) || !String(headers['anthropic-beta']).includes('per-turn-control')) return body;
  return { ...body, messages: body.messages.filter(({ role }) => (role as string) !== 'system') };
}

const isRequestBody = (body: unknown): body is RequestBody => isObject(body) && Array.isArray(body['messages']);
