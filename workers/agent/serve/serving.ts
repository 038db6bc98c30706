/** Fairlead as an MCP server: requests to /mcp for this thread's sessions, in both protocols. Agent threads. */
import {
  createMcpHandler,
  createRequestStateCodec,
  isInitializeRequest,
  isLegacyRequest,
  WebStandardStreamableHTTPServerTransport,
  type McpHttpHandler,
} from '@modelcontextprotocol/server';
import { randomBytes } from 'node:crypto';
import { atMost } from '../../../src/shared/abort.js';
import { errorToData, FairleadError, isFairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { counter } from '../../../src/shared/metrics.js';
import type { SessionRow } from '../store/store.js';
import type { McpAnswer, McpExchange, McpStreamPart } from '../contract/mcp.js';
import { initializeProblem } from './client-message.js';
import { HttpExchange } from './exchange.js';
import { McpSessions, type McpSession } from './mcp-sessions.js';
import { authInfoOf, exchangeOf, type CallState, type Served, type ServeParts } from './parts.js';
import { Routes } from './routes.js';
import { ServedCalls } from './served-calls.js';
import { createServer } from './server.js';
import { Subscriptions } from './subscriptions.js';

type Of = Pick<Served, 'session' | 'user' | 'who'>;

/** MCP sessions may idle for so many times `mcp.idleMs`: one costs a few kilobytes, and its loss makes the client begin anew. */
const IDLE_FACTOR = 15;
/** Longest wait at a stop for finished answers to reach their clients. */
const ANSWER_MS = 2_000;
/** Limit of one thread; each is a stream of the newer protocol that waits for notifications. */
const MAX_SUBSCRIPTIONS = 10_000;

const exchangesTotal = counter('fairlead_served_mcp_requests_total', 'HTTP requests to /mcp', ['era', 'status']);

export interface ServingOptions {
  agent: ServeParts['agent'];
  log: Logger;
  stream: (part: McpStreamPart) => Promise<{ open: boolean }>;
  /** Runs `work` with the session kept in memory, and counts it as activity. ERR_NO_SUCH_SESSION. */
  withSession: <T>(of: Of, work: (row: SessionRow) => Promise<T>) => Promise<T>;
  takeLosses: ServeParts['takeLosses'];
  /** Uses the default model. ERR_DRAINING; ERR_STORE_CONFLICT when the session exists. */
  createSession: (of: Of) => Promise<void>;
  deleteSession: (of: Of) => Promise<void>;
}

export class McpServing {
  readonly #options: ServingOptions;
  readonly #parts: ServeParts;
  readonly #sessions: McpSessions;
  readonly #modern: McpHttpHandler;
  readonly #open = new Map<string, HttpExchange>();
  #draining = false;

  constructor(options: ServingOptions) {
    this.#options = options;
    const { agent, log } = options;
    const { config } = agent;
    // As at the start: a client's state that is older than that is asked for anew.
    const ttlMs = config.approvals.timeoutMs;
    this.#parts = {
      agent,
      log,
      calls: new ServedCalls({
        get maxRunning() {
          return config.limits.maxSocketsPerUser;
        },
        get maxWaiting() {
          return config.limits.maxSocketsPerUser;
        },
        get waitMs() {
          return config.approvals.timeoutMs;
        },
      }),
      routes: new Routes(),
      states: createRequestStateCodec<CallState>({
        key: randomBytes(32),
        ttlSeconds: Math.ceil(ttlMs / 1000),
        bind: ({ mcpReq, http }) => JSON.stringify([mcpReq.method, http?.authInfo?.clientId, http?.authInfo?.scopes]),
      }),
      hold: (of, work) => this.#hold(of, work),
      takeLosses: (of, server) => options.takeLosses(of, server),
      use: ({ owner }) => this.#sessions.markUsed(owner),
    };
    this.#sessions = new McpSessions({
      get maxPerUser() {
        return config.limits.maxSocketsPerUser;
      },
      idleMs: config.mcp.idleMs * IDLE_FACTOR,
      onClosed: (session, why) => this.#closed(session, why),
    });
    this.#modern = createMcpHandler(
      ({ authInfo }) => {
        const { user, who, session, by } = exchangeOf(authInfo);
        const owner = `mcp ${user} ${session}`;
        return createServer(this.#parts, {
          of: { user, ...(who && { who }), session, kept: by === 'user', owner },
          era: 'modern',
        });
      },
      {
        legacy: 'reject',
        maxSubscriptions: MAX_SUBSCRIPTIONS,
        onerror: (error) => log.debug({ err: error.message }, 'mcp request refused'),
      },
    );
  }

  /** Resolves with the answer, or with null when it has been streamed. The contract lists the errors. */
  async exchange(from: McpExchange): Promise<McpAnswer | null> {
    if (this.#draining) throw new FairleadError('ERR_DRAINING', 'the server is stopping', { retryAfterMs: 5_000 });
    const { log, stream, agent } = this.#options;
    const exchange = new HttpExchange(from, { stream, log, maxUnsentBytes: agent.config.limits.maxUnsentBytes });
    this.#open.set(from.exchange, exchange);
    try {
      const { method, json, request } = exchange;
      if (exchange.notAcceptable !== undefined) {
        const refusal = rpcError(406, -32_000, `Not Acceptable: the Accept header must name ${exchange.notAcceptable}`);
        return await this.#answer(exchange, refusal, 'legacy');
      }
      const legacy = method !== 'POST' || json === undefined || (await isLegacyRequest(request, json));
      return await (legacy ? this.#serveLegacy(exchange) : this.#serveModern(exchange));
    } finally {
      this.#open.delete(from.exchange);
      exchange.done();
    }
  }

  /** The client of this request has disconnected. */
  abort(exchange: string): void {
    this.#open.get(exchange)?.abort();
  }

  /** A client's call runs or waits in this session, or a request of its MCP session is open. */
  isActive(session: string): boolean {
    return this.#parts.calls.isActive(session) || this.#sessions.isActive(session);
  }

  /** The session has been deleted, or moves to another server. */
  release(session: string): void {
    this.#parts.calls.release(session);
    this.#sessions.release(session);
  }

  get calls(): number {
    return this.#parts.calls.size;
  }

  /** These users are blocked: their calls and streams end, whatever their clients do. */
  stopUsers(users: ReadonlySet<string>): void {
    this.#parts.calls.stopUsers(users);
    this.#sessions.closeUsers(users);
    for (const exchange of this.#open.values()) if (users.has(exchange.user)) exchange.abort();
  }

  /** Tells listening clients to list the tools again. */
  toolsChanged(): void {
    this.#modern.notify.toolsChanged();
    for (const { mcp } of this.#sessions.all) mcp.sendToolListChanged();
  }

  /** Refuses new requests, lets running calls go on until the signal aborts, then ends all streams. */
  async drain(grace: AbortSignal): Promise<void> {
    this.#draining = true;
    await this.#parts.calls.drain(grace);
    await this.#answersOut();
    await this.close();
  }

  /** Ends all sessions and streams. */
  async close(): Promise<void> {
    this.#draining = true;
    this.#sessions.closeAll();
    await this.#modern.close();
    for (const exchange of this.#open.values()) exchange.abort();
  }

  /** Waits for the answers of calls that have just ended. */
  async #answersOut(): Promise<void> {
    const answers = [...this.#open.values()].filter(({ endless }) => !endless).map(({ answered }) => answered);
    await atMost(ANSWER_MS, Promise.all(answers));
  }

  async #serveModern(exchange: HttpExchange): Promise<McpAnswer | null> {
    const { user, session, by } = exchange;
    // A named session must exist; the one kept for the user is created when something needs it.
    if (by === 'id') await this.#options.withSession({ user, session }, async () => undefined);
    return this.#answer(exchange, await this.#modern.fetch(exchange.request, handlerOptions(exchange)), 'modern');
  }

  async #serveLegacy(exchange: HttpExchange): Promise<McpAnswer | null> {
    const { by, method } = exchange;
    if (typeof by === 'object') {
      const known = this.#sessions.find(by.mcpSession, exchange.user);
      if (known) return this.#serveSession(known, exchange);
      return this.#answer(exchange, rpcError(404, -32_001, 'Session not found'), 'legacy');
    }
    if (method === 'POST' && exchange.json === undefined) {
      return this.#answer(exchange, rpcError(400, -32_700, 'Parse error: Invalid JSON'), 'legacy');
    }
    if (method === 'POST' && isInitializeRequest(exchange.json)) return this.#initialize(exchange);
    // In the newer protocol no stream is opened by GET, and no session is ended by DELETE.
    if (by === 'user') {
      const refusal = rpcError(405, -32_000, 'Method not allowed.', { allow: 'POST' });
      return this.#answer(exchange, refusal, 'modern');
    }
    const problem = initializeProblem(exchange.json);
    if (problem !== undefined) {
      return this.#answer(exchange, rpcError(400, -32_602, `Invalid initialize request: ${problem}`), 'legacy');
    }
    const refusal = rpcError(400, -32_000, 'Bad Request: Mcp-Session-Id header is required');
    return this.#answer(exchange, refusal, 'legacy');
  }

  async #serveSession(session: McpSession, exchange: HttpExchange): Promise<McpAnswer | null> {
    session.open++;
    try {
      const response = await session.transport.handleRequest(exchange.request, handlerOptions(exchange));
      if (exchange.method === 'DELETE' && response.ok) {
        this.#sessions.close(session, 'deleted');
        if (session.owned) await this.#deleteSession(session);
      }
      return await this.#answer(exchange, response, 'legacy');
    } finally {
      session.open--;
      this.#sessions.touch(session);
    }
  }

  async #initialize(exchange: HttpExchange): Promise<McpAnswer | null> {
    const { user, session, by } = exchange;
    const who = exchange.who && { who: exchange.who };
    this.#sessions.makeRoom(user);
    const owned = by === 'new';
    if (owned) await this.#options.createSession({ user, session, ...who });
    else await this.#hold({ user, session, ...who, kept: by === 'user', owner: '' }, async () => undefined);
    const id = `${session}.${randomBytes(18).toString('base64url')}`;
    const of: Served = { user, session, kept: false, owner: id };
    const subscriptions = new Subscriptions(this.#parts, (uri) => {
      mcp.server.sendResourceUpdated({ uri }).catch(() => undefined); // the client has just disconnected
    });
    const mcp = createServer(this.#parts, { of, era: 'legacy', subscriptions });
    const transport = new WebStandardStreamableHTTPServerTransport({ sessionIdGenerator: () => id });
    await mcp.connect(transport);
    const served: McpSession = {
      id,
      user,
      session,
      owned,
      mcp,
      transport,
      open: 0,
      used: false,
      usedAt: performance.now(),
    };
    const onClose = mcp.server.onclose;
    mcp.server.onclose = () => {
      subscriptions.close();
      onClose?.();
    };
    this.#sessions.add(served);
    try {
      return await this.#serveSession(served, exchange);
    } finally {
      // The SDK has refused the initialize request.
      if (transport.sessionId === undefined) {
        this.#sessions.close(served, 'gone');
        if (owned) await this.#deleteSession(served);
      }
    }
  }

  #closed(session: McpSession, why: 'deleted' | 'idle' | 'gone'): void {
    session.mcp.close().catch((error: Error) => this.#options.log.debug({ err: error.message }, 'mcp session'));
    // A session without work is deleted with its idle client; one with work lives until its time to live.
    if (why === 'idle' && session.owned && !session.used) void this.#deleteSession(session);
  }

  async #deleteSession({ user, session }: Of): Promise<void> {
    try {
      await this.#options.deleteSession({ user, session });
    } catch (error) {
      if (isFairleadError(error, 'ERR_NO_SUCH_SESSION')) return;
      const err = errorToData(error).message;
      this.#options.log.warn(
        { session, err },
        'the session of an mcp client could not be deleted and stays until it expires',
      );
    }
  }

  async #hold<T>(of: Served, work: (row: SessionRow) => Promise<T>): Promise<T> {
    const { withSession, createSession } = this.#options;
    try {
      return await withSession(of, work);
    } catch (error) {
      if (!of.kept || !isFairleadError(error, 'ERR_NO_SUCH_SESSION')) throw error;
    }
    try {
      await createSession(of);
    } catch (error) {
      if (!isFairleadError(error, 'ERR_STORE_CONFLICT')) throw error; // another request has created it meanwhile
    }
    return withSession(of, work);
  }

  #answer(exchange: HttpExchange, response: Response, era: 'legacy' | 'modern'): Promise<McpAnswer | null> {
    exchangesTotal.inc({ era, status: response.status });
    return exchange.answer(response);
  }
}

function handlerOptions(exchange: HttpExchange) {
  const { json } = exchange;
  return { authInfo: authInfoOf(exchange), ...(json === undefined ? {} : { parsedBody: json }) };
}

function rpcError(status: number, code: number, message: string, headers: Record<string, string> = {}): Response {
  return Response.json({ jsonrpc: '2.0', error: { code, message }, id: null }, { status, headers });
}
