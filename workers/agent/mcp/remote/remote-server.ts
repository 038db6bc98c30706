/**
 * One `url` server as one agent thread knows it: its HTTP connections, how it is doing, which era it speaks, and who is
 * connected. Agent threads.
 *
 * In the modern era nothing is held for a session: all that have the same credentials share one client. In the legacy era a
 * session of ours has a session there, made on its first request and ended with it; it never serves another.
 */
import type { CallToolResult } from '@modelcontextprotocol/client';
import type { UrlServerConfig } from '../../../../src/shared/config-mcp.js';
import { FairleadError } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import { abortable, withDeadline } from '../../../../src/shared/abort.js';
import type { InputAnswers, InputWanted } from '../host/input-wanted.js';
import type { Caller, ServerRequestOptions, ServerRequest, ToolCall } from '../host/server-connection.js';
import type { AuthSource } from './auth-source.js';
import { describeFailure, protocolChanged, needsAuthorization, sessionGone } from '../../http/failures.js';
import { SafeHttp, type SafeHttpOptions } from '../../http/http.js';
import { KeptConnection } from './kept-connection.js';
import { openConnection, type KnownProtocol, type OpenedConnection, type OpeningOptions } from './opening.js';
import { probe } from './probe.js';
import { Resilience } from './resilience.js';
import type { ServerHealth } from '../../contract/mcp.js';

/** After this a server is asked again which era it speaks, as soon as somebody connects. */
const ERA_MS = 600_000;
/** Whatever the AuthSource hopes for. */
const MAX_REFUSALS = 5;
/** A server that nobody has used for so long is not probed. */
const INTEREST_MS = 300_000;

export interface RemoteServerOptions {
  server: string;
  config: UrlServerConfig;
  http: Omit<SafeHttpOptions, 'name' | 'onAnswer'>;
  capabilities: OpeningOptions['capabilities'];
  idleMs: number;
  auth: AuthSource;
  log: Logger;
}

interface Verdict extends KnownProtocol {
  at: number;
  /** Whose `discover` it is: what one user is told is not for another. */
  key: string;
}

export class RemoteServer {
  readonly #options: RemoteServerOptions;
  readonly #http: SafeHttp;
  readonly #resilience: Resilience;
  /** slot → connection: `k KEY` for what is shared by those with the same credentials, `s SESSION` for a session's own. */
  readonly #held = new Map<string, KeptConnection>();
  /** session → what it has begun to open while it was not known whether it would be its own. */
  readonly #unsettled = new Map<string, KeptConnection>();
  #verdict: Verdict | undefined;
  #usedAt = -Infinity;
  #closed = false;

  constructor(options: RemoteServerOptions) {
    const { server, config, http, log } = options;
    this.#options = options;
    this.#http = new SafeHttp({ ...http, name: server, onAnswer: (ms) => this.#resilience.health.measured(ms) });
    this.#resilience = new Resilience({ server, log, probe: () => probe(this.#http, server, config) });
  }

  get health(): ServerHealth {
    const kind = this.#verdict?.kind;
    const era = kind === undefined ? undefined : kind === 'modern' ? 'modern' : 'legacy';
    return { ...this.#resilience.health.current, ...(era ? { era } : {}) };
  }

  /** Whether it was ever used by this thread. */
  get isKnown(): boolean {
    return this.#usedAt !== -Infinity;
  }

  /** How many connections to it are held. */
  get connections(): number {
    return this.#held.size;
  }

  /** For a moment in which nothing is asked yet; undefined where the person has to log in first. */
  async connect(caller: Caller): Promise<OpenedConnection | undefined> {
    const known = await this.#openNow(caller);
    if (known) return known;
    const timeoutMs = 2 * this.#options.http.timeoutMs;
    const late = (): FairleadError => {
      const text = `${this.#options.server} could not be connected to within ${timeoutMs} ms`;
      return new FairleadError('ERR_UNAVAILABLE', text, { retryAfterMs: timeoutMs });
    };
    try {
      return await withDeadline({ timeoutMs, late }, (signal) =>
        this.#attempts('initialize', signal, () => this.#open(caller)),
      );
    } catch (error) {
      if (needsAuthorization(error)) return undefined;
      throw error;
    }
  }

  /** `onOpened`: told of the connection that it goes over, each time that it is tried. */
  callTool(caller: Caller, call: ToolCall, onOpened?: (opened: OpenedConnection) => void): Promise<CallToolResult> {
    return this.#run(caller, 'tools/call', call, (opened) => {
      onOpened?.(opened);
      return opened.client.callTool(call);
    });
  }

  sendToolCall(
    caller: Caller,
    call: ToolCall,
    answers: InputAnswers,
    onOpened?: (opened: OpenedConnection) => void,
  ): Promise<CallToolResult | InputWanted> {
    return this.#run(caller, 'tools/call', call, (opened) => {
      onOpened?.(opened);
      return opened.client.sendToolCall(call, answers);
    });
  }

  request(
    caller: Caller,
    request: ServerRequest,
    onOpened?: (opened: OpenedConnection) => void,
  ): Promise<Record<string, unknown>> {
    const { method, params } = request;
    const isFirstPage = method === 'tools/list' && params['cursor'] === undefined;
    return this.#run(caller, method, request, (opened) => {
      onOpened?.(opened);
      return isFirstPage ? this.#listTools(opened, request) : opened.client.request(request);
    });
  }

  async watchResource(
    caller: Caller,
    uri: string,
    onUpdated: () => void,
    options: { timeoutMs: number },
  ): Promise<() => Promise<void>> {
    const { client } = await this.#open(caller);
    return client.watchResource(uri, onUpdated, options);
  }

  /** One of its own, which its caller closes: for what goes on by itself. */
  async openOwn(caller: Caller): Promise<OpenedConnection> {
    const credentials = await this.#options.auth.credentialsFor(caller, this.#options.server);
    return this.#connect(credentials, this.#known(credentials?.key ?? ''));
  }

  /** Now; rejects when it is not there. */
  probe(): Promise<void> {
    return this.#resilience.probe();
  }

  async releaseSession(session: string): Promise<void> {
    const slot = ownSlot(session);
    await this.#unsettled.get(session)?.settled;
    const held = this.#held.get(slot);
    if (!held) return;
    this.#held.delete(slot);
    await held.end();
  }

  /** Now and then, from the one timer of the thread. */
  tick(now: number): void {
    for (const [slot, held] of this.#held) {
      held.opened?.transport.sweep(now);
      if (held.idleMs < this.#options.idleMs) continue;
      this.#held.delete(slot);
      void held.end();
    }
    const { state } = this.#resilience.health;
    if (state === 'healthy' || state === 'reconnecting' || now - this.#usedAt > INTEREST_MS) return;
    this.#resilience.probe().catch((error: unknown) => {
      this.#options.log.debug({ server: this.#options.server, err: error }, 'mcp server: still not there');
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    const all = [...this.#held.values()];
    this.#held.clear();
    await Promise.all(all.map((held) => held.end()));
    await this.#http.close();
  }

  /** As often as it makes sense: after a login, after the server has forgotten us, and as `Resilience` says. */
  async #run<T>(
    caller: Caller,
    method: string,
    { signal, asks }: ServerRequestOptions,
    request: (opened: OpenedConnection) => Promise<T>,
  ): Promise<T> {
    let refusals = 0;
    let renewed = false;
    for (;;) {
      let opened: OpenedConnection | undefined;
      try {
        return await this.#attempts(method, signal, async () => request((opened = await this.#open(caller))));
      } catch (error) {
        if (refusals < MAX_REFUSALS && needsAuthorization(error)) {
          const { auth, server } = this.#options;
          await auth.whenUnauthorized({ caller, server, error, round: ++refusals, asks, signal });
        } else if (!renewed && opened && this.#forgotten(opened, error)) {
          // It has refused the request without running it, so that it may be sent again, whatever it was.
          renewed = true;
          this.#drop(opened);
        } else throw error;
      }
    }
  }

  #attempts<T>(method: string, signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
    this.#usedAt = performance.now();
    return abortable(() => this.#resilience.run(method, signal, attempt), signal);
  }

  #forgotten({ kind, transport }: OpenedConnection, error: unknown): boolean {
    if (kind !== 'modern') return transport.sessionId !== undefined && sessionGone(error);
    const changed = protocolChanged(error);
    if (changed) this.#verdict = undefined;
    return changed;
  }

  #drop(opened: OpenedConnection): void {
    for (const [slot, held] of this.#held) {
      if (held.opened !== opened) continue;
      this.#held.delete(slot);
      void held.retire();
    }
  }

  /** As `#open`, when it is there already. */
  async #openNow({ session, user }: Caller): Promise<OpenedConnection | undefined> {
    const { auth, server } = this.#options;
    const key = (await auth.credentialsFor({ session, user }, server))?.key ?? '';
    const own = this.#held.get(ownSlot(session));
    if (own) return own.key === key ? own.opened : undefined;
    const shared = this.#held.get(`k ${key}`)?.opened;
    return shared?.kind === 'modern' ? shared : undefined;
  }

  /** The connection of the caller's session, or the one that it shares; those who come meanwhile share one start. */
  async #open(caller: Caller): Promise<OpenedConnection> {
    if (this.#closed) throw new FairleadError('ERR_DRAINING', 'the thread ends');
    const { auth, server } = this.#options;
    const credentials = await auth.credentialsFor(caller, server);
    const key = credentials?.key ?? '';
    const own = this.#held.get(ownSlot(caller.session));
    if (own?.key === key) return own.opening;
    if (own) await this.releaseSession(caller.session); // somebody has logged in meanwhile: another's session there
    const known = this.#known(key);
    const isOwn = known !== undefined && known.kind !== 'modern';
    const slot = isOwn ? ownSlot(caller.session) : `k ${key}`;
    const held = this.#held.get(slot) ?? this.#hold(slot, key, caller.session, this.#connect(credentials, known));
    const opened = await held.opening;
    if (opened.kind === 'modern' || held.session === caller.session) return opened;
    return this.#open(caller); // it turned out to be the session's of whoever came first
  }

  #hold(slot: string, key: string, session: string, opening: Promise<OpenedConnection>): KeptConnection {
    const held = new KeptConnection(key, session, opening);
    this.#held.set(slot, held);
    if (slot !== ownSlot(session)) this.#unsettled.set(session, held);
    const forget = (at: string): void => {
      if (this.#held.get(at) === held) this.#held.delete(at);
    };
    const settle = (): void => {
      if (this.#unsettled.get(session) === held) this.#unsettled.delete(session);
    };
    const place = (opened: OpenedConnection): void => {
      settle();
      if (this.#held.get(slot) !== held) return; // released meanwhile, and ended by whoever did
      this.#learn(opened, key);
      const rightSlot = opened.kind === 'modern' ? `k ${key}` : ownSlot(session);
      if (rightSlot !== slot) {
        this.#held.delete(slot);
        this.#held.set(rightSlot, held);
      }
      opened.client.client.onclose = () => forget(rightSlot);
    };
    opening.then(place, () => {
      settle();
      forget(slot); // the caller gets the error; the next one starts again
    });
    return held;
  }

  #connect(
    credentials: Parameters<typeof openConnection>[1],
    known: KnownProtocol | undefined,
  ): Promise<OpenedConnection> {
    const { server, config, capabilities, http, log } = this.#options;
    const { timeoutMs } = http;
    return openConnection({ server, config, http: this.#http, capabilities, timeoutMs, log }, credentials, known);
  }

  #learn({ kind, discover }: OpenedConnection, key: string): void {
    const isNew = this.#verdict?.kind !== kind;
    if (!isNew && this.#isFresh(this.#verdict)) return; // or a server that is used all the time would never be asked
    this.#verdict = { kind, key, at: performance.now(), ...(discover ? { discover } : {}) };
    if (isNew) this.#options.log.info({ server: this.#options.server, kind }, 'mcp server: connected');
  }

  #known(key: string): KnownProtocol | undefined {
    const verdict = this.#verdict;
    if (!verdict || !this.#isFresh(verdict)) return undefined;
    return verdict.kind === 'modern' && verdict.key !== key ? undefined : verdict;
  }

  #isFresh(verdict: Verdict | undefined): boolean {
    return verdict !== undefined && performance.now() - verdict.at < ERA_MS;
  }

  /** All pages, without the tools whose headers the protocol forbids: the SDK knows both. */
  async #listTools(
    { client }: OpenedConnection,
    { signal, timeoutMs }: ServerRequest,
  ): Promise<Record<string, unknown>> {
    try {
      return { ...(await client.client.listTools(undefined, { signal, timeout: timeoutMs, cacheMode: 'refresh' })) };
    } catch (error) {
      const { server } = this.#options;
      if (signal.aborted) throw new FairleadError('ERR_CANCELLED', 'cancelled', { cause: error });
      throw (
        describeFailure(server, error) ??
        new FairleadError('ERR_MCP', `${server}: ${messageOf(error)}`, { cause: error })
      );
    }
  }
}

function ownSlot(session: string): string {
  return `s ${session}`;
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 300);
}
