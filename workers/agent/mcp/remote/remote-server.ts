/**
 * One `url` server in one agent thread: its HTTP connections, its health, its protocol, and which sessions are connected.
 * Agent threads.
 *
 * A modern server keeps no state for a session: sessions with the same credentials share one client. At a legacy server a
 * session of ours has a session there, made on its first request and ended with it; it never serves another.
 */
import type { UrlServerConfig } from '../../../../src/shared/config-mcp.js';
import { FairleadError } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import { abortable, withDeadline } from '../../../../src/shared/abort.js';
import type { Caller, ServerRequestOptions } from '../host/server-connection.js';
import type { AuthSource } from './auth-source.js';
import { protocolChanged, needsAuthorization, sessionGone } from '../../http/failures.js';
import { SafeHttp, type SafeHttpOptions } from '../../http/http.js';
import { KeptConnection } from './kept-connection.js';
import { openConnection, type KnownProtocol, type OpenedConnection, type OpeningOptions } from './opening.js';
import { probe } from './probe.js';
import { Resilience } from './resilience.js';
import type { ServerHealth } from '../../contract/mcp.js';

/** After this the next connection detects the protocol again. */
const DETECTED_MS = 600_000;
/** Limit of repeats after a refusal, whatever the AuthSource says. */
const MAX_REFUSALS = 5;
/** A server that is unused for so long is not probed. */
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

interface Detected extends KnownProtocol {
  at: number;
  /** Credentials key of `discover`: what a server tells one user is not for another. */
  key: string;
}

export class RemoteServer {
  readonly #options: RemoteServerOptions;
  readonly #http: SafeHttp;
  readonly #resilience: Resilience;
  /** Ids: `k KEY` is shared by sessions with the same credentials, `s SESSION` is a session's own. */
  readonly #kept = new Map<string, KeptConnection>();
  /** session → the connection that it is opening while it is unknown whether that will be shared. */
  readonly #unsettled = new Map<string, KeptConnection>();
  #detected: Detected | undefined;
  #usedAt = -Infinity;
  /** Calls that run, from before their connection is open. */
  #calls = 0;
  #calledAt = performance.now();
  #closed: FairleadError | undefined;

  constructor(options: RemoteServerOptions) {
    const { server, config, http, log } = options;
    this.#options = options;
    this.#http = new SafeHttp({
      ...http,
      get timeoutMs() {
        return http.timeoutMs;
      },
      name: server,
      onAnswer: (ms) => this.#resilience.health.measured(ms),
    });
    this.#resilience = new Resilience({ server, log, probe: () => probe(this.#http, server, config) });
  }

  get name(): string {
    return this.#options.server;
  }

  get health(): ServerHealth {
    const kind = this.#detected?.kind;
    const era = kind === undefined ? undefined : kind === 'modern' ? 'modern' : 'legacy';
    return { ...this.#resilience.health.current, ...(era ? { era } : {}) };
  }

  /** Whether this thread has used the server. */
  get isKnown(): boolean {
    return this.#usedAt !== -Infinity;
  }

  /** The number of kept connections. */
  get connections(): number {
    return this.#kept.size;
  }

  /** How long no call has run; 0 while one runs. */
  get quietMs(): number {
    return this.#calls > 0 ? 0 : performance.now() - this.#calledAt;
  }

  /** Connects before the first request. Undefined when the user must log in first. */
  connect(caller: Caller): Promise<OpenedConnection | undefined> {
    return this.#counted(() => this.#connectFirst(caller));
  }

  async #connectFirst(caller: Caller): Promise<OpenedConnection | undefined> {
    const known = await this.#openNow(caller);
    if (known) return known;
    const timeoutMs = 2 * this.#options.http.timeoutMs;
    const late = (): FairleadError => {
      const text = `${this.#options.server} could not be connected to within ${timeoutMs} ms`;
      return new FairleadError('ERR_UNAVAILABLE', text, { retryAfterMs: timeoutMs });
    };
    try {
      return await withDeadline({ timeoutMs, late }, (signal) =>
        this.#attempts('initialize', signal, () => this.open(caller)),
      );
    } catch (error) {
      if (needsAuthorization(error)) return undefined;
      throw error;
    }
  }

  /** Opens a connection outside the table; the caller closes it. */
  async openOwn(caller: Caller): Promise<OpenedConnection> {
    const { auth, server, config } = this.#options;
    const credentials = await auth.credentialsFor(caller, server, config);
    return this.#connect(credentials, this.#known(credentials?.key ?? ''));
  }

  async releaseSession(session: string): Promise<void> {
    const id = ownId(session);
    await this.#unsettled.get(session)?.settled;
    const kept = this.#kept.get(id);
    if (!kept) return;
    this.#kept.delete(id);
    await kept.end();
  }

  /** Called at intervals by the thread's one timer. */
  tick(now: number): void {
    for (const [id, kept] of this.#kept) {
      kept.opened?.transport.sweep(now);
      if (kept.idleMs < this.#options.idleMs) continue;
      this.#kept.delete(id);
      void kept.end();
    }
    const { state } = this.#resilience.health.current;
    if (state === 'healthy' || state === 'reconnecting' || now - this.#usedAt > INTEREST_MS) return;
    this.#resilience.probe().catch((error: unknown) => {
      this.#options.log.debug({ server: this.#options.server, err: error }, 'mcp server: still unreachable');
    });
  }

  /** `why`: for calls that come after it. */
  async close(why = new FairleadError('ERR_DRAINING', 'the thread ends')): Promise<void> {
    this.#closed = why;
    const all = [...this.#kept.values()];
    this.#kept.clear();
    await Promise.all(all.map((kept) => kept.end()));
    await this.#http.close();
  }

  /**
   * Sends a request over the caller's connection. Repeats it after a login, after the server has lost the session, and as
   * `Resilience` says.
   */
  run<T>(
    caller: Caller,
    method: string,
    options: ServerRequestOptions,
    send: (opened: OpenedConnection) => Promise<T>,
  ): Promise<T> {
    return this.#counted(() => this.#run(caller, method, options, send));
  }

  async #counted<T>(work: () => Promise<T>): Promise<T> {
    this.#calls++;
    try {
      return await work();
    } finally {
      this.#calls--;
      this.#calledAt = performance.now();
    }
  }

  async #run<T>(
    caller: Caller,
    method: string,
    { signal, asks }: ServerRequestOptions,
    send: (opened: OpenedConnection) => Promise<T>,
  ): Promise<T> {
    let refusals = 0;
    let renewed = false;
    for (;;) {
      let opened: OpenedConnection | undefined;
      try {
        return await this.#attempts(method, signal, async () => send((opened = await this.open(caller))));
      } catch (error) {
        if (refusals < MAX_REFUSALS && needsAuthorization(error)) {
          const { auth, server, config } = this.#options;
          await auth.whenUnauthorized({ caller, server, config, error, round: ++refusals, asks, signal });
        } else if (!renewed && opened && this.#hasForgotten(opened, error)) {
          // Any request may be repeated: the server has refused it without running it.
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

  #hasForgotten({ kind, transport }: OpenedConnection, error: unknown): boolean {
    if (kind !== 'modern') return transport.sessionId !== undefined && sessionGone(error);
    const changed = protocolChanged(error);
    if (changed) this.#detected = undefined;
    return changed;
  }

  #drop(opened: OpenedConnection): void {
    for (const [id, kept] of this.#kept) {
      if (kept.opened !== opened) continue;
      this.#kept.delete(id);
      void kept.retire();
    }
  }

  /** What `open` would return, if it is open already. */
  async #openNow({ session, user }: Caller): Promise<OpenedConnection | undefined> {
    const { auth, server, config } = this.#options;
    const key = (await auth.credentialsFor({ session, user }, server, config))?.key ?? '';
    const own = this.#kept.get(ownId(session));
    if (own) return own.key === key ? own.opened : undefined;
    const shared = this.#kept.get(`k ${key}`)?.opened;
    return shared?.kind === 'modern' ? shared : undefined;
  }

  /** The session's own connection, or the one that it shares. Callers that come meanwhile share one start. */
  async open(caller: Caller): Promise<OpenedConnection> {
    if (this.#closed) throw this.#closed;
    const { auth, server, config } = this.#options;
    const credentials = await auth.credentialsFor(caller, server, config);
    const key = credentials?.key ?? '';
    const own = this.#kept.get(ownId(caller.session));
    if (own?.key === key) return own.opening;
    if (own) await this.releaseSession(caller.session); // after a login: the old session there has other credentials
    const known = this.#known(key);
    const isOwn = known !== undefined && known.kind !== 'modern';
    const id = isOwn ? ownId(caller.session) : `k ${key}`;
    const kept = this.#kept.get(id) ?? this.#keep(id, key, caller.session, this.#connect(credentials, known));
    const opened = await kept.opening;
    if (opened.kind === 'modern' || kept.session === caller.session) return opened;
    return this.open(caller); // the server is legacy: that connection belongs to the session that came first
  }

  #keep(id: string, key: string, session: string, opening: Promise<OpenedConnection>): KeptConnection {
    const kept = new KeptConnection(key, session, opening);
    this.#kept.set(id, kept);
    if (id !== ownId(session)) this.#unsettled.set(session, kept);
    const forget = (at: string): void => {
      if (this.#kept.get(at) === kept) this.#kept.delete(at);
    };
    const settle = (): void => {
      if (this.#unsettled.get(session) === kept) this.#unsettled.delete(session);
    };
    const place = (opened: OpenedConnection): void => {
      settle();
      if (this.#kept.get(id) !== kept) return; // released meanwhile; `releaseSession` ends it
      this.#learn(opened, key);
      const rightId = opened.kind === 'modern' ? `k ${key}` : ownId(session);
      if (rightId !== id) {
        this.#kept.delete(id);
        this.#kept.set(rightId, kept);
      }
      opened.client.client.onclose = () => forget(rightId);
    };
    opening.then(place, () => {
      settle();
      forget(id); // the caller gets the error; the next call starts again
    });
    return kept;
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
    const isNew = this.#detected?.kind !== kind;
    if (!isNew && this.#isFresh(this.#detected)) return; // keeping `at`: else a busy server would never be detected again
    this.#detected = { kind, key, at: performance.now(), ...(discover ? { discover } : {}) };
    if (isNew) this.#options.log.info({ server: this.#options.server, kind }, 'mcp server: connected');
  }

  #known(key: string): KnownProtocol | undefined {
    const detected = this.#detected;
    if (!detected || !this.#isFresh(detected)) return undefined;
    return detected.kind === 'modern' && detected.key !== key ? undefined : detected;
  }

  #isFresh(detected: Detected | undefined): boolean {
    return detected !== undefined && performance.now() - detected.at < DETECTED_MS;
  }
}

function ownId(session: string): string {
  return `s ${session}`;
}
