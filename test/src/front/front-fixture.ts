/** A real front on port 0 with an agent thread's contract behind a real MessagePort: what it answers and emits is the test's. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request as requestPlain, type RequestOptions } from 'node:http';
import { request as requestSecure } from 'node:https';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectSecure } from 'node:tls';
import { join } from 'node:path';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import pino, { type Logger } from 'pino';
import { parseConfig, type Config } from '../../../src/shared/config.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { METRICS } from '../../helpers/metrics.js';
import { browserAccess, type BrowserAccess } from '../../../src/boot/browser-access.js';
import { createFront, type Front } from '../../../src/boot/front.js';
import type { EndedEntry } from '../../../src/front/browser/ended-logins.js';
import type { RequestHead } from '../../../src/front/http.js';
import { Acts } from '../../../src/admin/acts.js';
import { AdminDesk } from '../../../src/admin/desk.js';
import { Here } from '../../../src/admin/here.js';
import { CLOSE } from '../../../src/shared/protocol.js';
import type { DurableEvent, Pending, ServerEvent, StreamingEvent, Usage } from '../../../src/shared/protocol.js';
import type { Agents } from '../../../src/threads/agents.js';
import { Channel, type RequestHandlers } from '../../../src/shared/threads/channel.js';
import type { AgentContract, AgentHostContract } from '../../../workers/agent/contract/messages.js';
import type { McpStreamPart } from '../../../workers/agent/contract/mcp.js';
import type { OutFrame, SessionInfo, SessionRef, SessionSize } from '../../../workers/agent/contract/sessions.js';

export const USAGE: Usage = { inputTokens: 1, outputTokens: 2, cacheReadTokens: 0, cacheWriteTokens: 0 };

/** A request without anything. */
export const HEAD: RequestHead = {
  method: 'GET',
  path: '/',
  query: '',
  host: '',
  origin: '',
  authorization: '',
  accept: '',
  contentType: '',
  contentLength: '',
  chunked: false,
  lastEventId: '',
  cookie: '',
  mcp: {},
  fetchSite: '',
  fetchMode: '',
  fetchDest: '',
  proxiedBy: '',
  address: '',
  requestId: 'request-1',
};

/** As agent threads make frames. */
export function frameOf(event: ServerEvent): OutFrame {
  const { type, seq, turn } = { seq: 0, turn: undefined, ...event };
  return { json: JSON.stringify(event), seq, type, ...(turn === undefined ? {} : { turn }) };
}

interface TestSession {
  user: string;
  model: string;
  seq: number;
  turns: number;
  log: OutFrame[];
  accepted: Map<string, number>;
  pending: Pending[];
  live: StreamingEvent[];
}

/** The agent's side of the contract, in memory. */
export class TestAgent {
  readonly restarts: object[] = [];
  readonly sessions = new Map<string, TestSession>();
  /** Every request that came. */
  readonly calls: { name: string; body: Record<string, unknown> }[] = [];
  /** Called for an accepted message, after its turn:start; ends the turn by itself unless replaced. */
  onMessage: (session: string, turn: number) => void = (session, turn) => this.finish(session, turn, 'hello');
  /** Requests that are answered otherwise. */
  readonly overrides = new Map<string, (body: Record<string, unknown>) => unknown>();
  readonly #channel: Channel<AgentContract, AgentHostContract>;
  readonly #watchers = new Set<() => void>();

  constructor(port: MessagePort) {
    this.#channel = new Channel(port);
    this.#channel.handle(this.#handlers(), {
      close: () => this.#channel.close(),
      'model-calls': () => undefined,
    });
  }

  close(): void {
    this.#channel.close();
  }

  make(session: string, user = 'local'): string {
    this.sessions.set(session, {
      user,
      model: 'test-model',
      seq: 0,
      turns: 0,
      log: [],
      accepted: new Map(),
      pending: [],
      live: [],
    });
    return session;
  }

  emit(session: string, ...events: DurableEvent[]): void {
    const state = this.sessions.get(session)!;
    const frames = events.map((event) => frameOf({ ...event, seq: ++state.seq }));
    state.log.push(...frames);
    this.#channel.notify('frames', { batch: [{ session, frames }] });
  }

  stream(session: string, ...events: StreamingEvent[]): void {
    const frames = events.map(frameOf);
    this.#channel.notify('frames', { batch: [{ session, frames }] });
  }

  finish(session: string, turn: number, text: string): void {
    this.emit(
      session,
      { type: 'text', turn, block: 0, text },
      { type: 'turn:end', turn, stopReason: 'end_turn', usage: USAGE, ms: 1, model: 'test-model' },
    );
  }

  /** A part of the answer to a request to /mcp. */
  streamMcp(part: McpStreamPart): Promise<{ open: boolean }> {
    return this.#channel.request('mcp-stream', part);
  }

  gone(session: string): void {
    this.#channel.notify('session-gone', { session, closeCode: 4404, reason: 'the session was deleted' });
  }

  /** Resolves when `name` has been asked `count` times. */
  async asked(name: string, count = 1): Promise<Record<string, unknown>> {
    for (;;) {
      const found = this.calls.filter((call) => call.name === name);
      if (found.length >= count) return found[count - 1]!.body;
      await new Promise<void>((resolve) => {
        const watcher = (): void => {
          this.#watchers.delete(watcher);
          resolve();
        };
        this.#watchers.add(watcher);
      });
    }
  }

  #of({ user, session }: SessionRef): TestSession {
    const state = this.sessions.get(session);
    if (state?.user !== user) throw new FairleadError('ERR_NO_SUCH_SESSION', 'no such session');
    return state;
  }

  #handlers(): RequestHandlers<AgentContract> {
    const handlers: RequestHandlers<AgentContract> = {
      'create-session': ({ session, user, model }) => {
        if (model === 'forbidden') throw new FairleadError('ERR_MODEL_NOT_ALLOWED', 'not in model.allow');
        this.make(session, user);
        return { session, model: model ?? 'test-model' };
      },
      attach: ({ after, resumed, who, ...of }) => {
        const state = this.#of(of);
        if (after !== undefined && after > state.seq) throw new FairleadError('ERR_BAD_FRAME', 'ahead of the log');
        const ready: ServerEvent = {
          type: 'session:ready',
          session: of.session,
          seq: state.seq,
          resumed,
          model: state.model,
          pending: state.pending,
          limits: { maxFrameBytes: 1_048_576, maxInFlight: 5 },
          user: of.user,
          role: who?.role ?? 'user',
        };
        return {
          seq: state.seq,
          frames: [
            { ...frameOf(ready), seq: 0 },
            ...(after === undefined ? [] : state.log.filter(({ seq }) => seq > after)),
            ...state.live.map(frameOf),
          ],
        };
      },
      replay: ({ after, ...of }) => {
        const frames = this.#of(of).log.filter(({ seq }) => seq > after);
        return frames[0]?.seq === after + 1 ? { frames } : {};
      },
      'read-seqs': ({ sessions }) => ({ seqs: sessions.map((session) => this.sessions.get(session)?.seq ?? 0) }),
      resume: () => ({ sessions: 0 }),
      'catch-up': (of) => ({ frames: this.#of(of).live.map(frameOf) }),
      'submit-message': ({ id, ...of }) => {
        const state = this.#of(of);
        const before = id === undefined ? undefined : state.accepted.get(id);
        if (before !== undefined) return { turn: before, queued: 0, duplicate: true };
        const turn = ++state.turns;
        if (id !== undefined) state.accepted.set(id, turn);
        const accepted = { type: 'message:accepted' as const, ...(id === undefined ? {} : { id }), turn, queued: 0 };
        this.emit(of.session, accepted, { type: 'turn:start', turn });
        this.onMessage(of.session, turn);
        return { turn, queued: 0, duplicate: false };
      },
      'answer-approval': ({ callId, ...of }) => {
        const state = this.#of(of);
        if (!state.pending.some((item) => item.kind === 'approval' && item.callId === callId)) {
          throw new FairleadError('ERR_CALL_NOT_PENDING', `call ${callId} is not pending`);
        }
        state.pending = [];
        this.emit(of.session, { type: 'tool:approved', callId, by: 'user' });
        return null;
      },
      'answer-elicitation': ({ requestId, ...of }) => {
        this.#of(of);
        throw new FairleadError('ERR_CALL_NOT_PENDING', `question ${requestId} is not pending`);
      },
      'note-loss': () => ({ told: true }),
      'note-saved': () => null,
      'claim-sockets': () => ({}),
      'renew-sockets': () => null,
      'cancel-turn': (of) => this.#nothing(of),
      'restart-sandbox': (of) => {
        this.#of(of);
        this.restarts.push(of);
        return { restarted: 1 };
      },
      'reset-history': (of) => {
        this.#of(of);
        this.emit(of.session, { type: 'history:cleared' });
        return null;
      },
      'get-session': (of) => ({ ...summary(of.session, this.#of(of)), running: false, pending: [] }),
      'list-sessions': ({ user, limit, cursor }) => {
        const all = [...this.sessions].filter(([, state]) => state.user === user);
        const from = Number(cursor ?? 0);
        const sessions = all.slice(from, from + limit).map(([id, state]) => summary(id, state));
        return { sessions, ...(all.length > from + limit ? { next: String(from + limit) } : {}) };
      },
      'delete-session': (of) => {
        this.#of(of);
        this.sessions.delete(of.session);
        this.gone(of.session);
        return null;
      },
      'read-history': (of) => {
        this.#of(of);
        return { bytes: new Uint8Array() };
      },
      'read-history-page': (of) => {
        this.#of(of);
        return { json: '[]', first: 0 };
      },
      'set-catalogue': () => null,
      'set-blocked': () => ({ left: 0 }),
      'refresh-server': () => null,
      'mcp-status': () => ({ health: {}, own: [] }),
      'read-usage': () => ({ currency: 'USD', rows: [] }),
      'user-facts': () => ({ sessions: 0, workspaceBytes: 0, historyBytes: 0, hasUsed: false }),
      'forget-user': () => null,
      'budgets-left': () => ({ budgets: [] }),
      'mcp-test': () => ({ latencyMs: 1, era: 'modern' }),
      'mcp-request': ({ method }) => ({ method }),
      'mcp-forget': () => null,
      'mcp-exchange': ({ exchange: _exchange, ...request }) => ({
        status: 200,
        headers: [['content-type', 'application/json']],
        body: JSON.stringify(request),
      }),
      'mcp-abort': () => null,
      'mcp-token': () => ({ until: 0 }),
      'mcp-login': () => ({ flow: '1', url: 'https://login.test/', issuer: 'https://login.test', endsAt: 1 }),
      'mcp-login-end': () => ({ ok: true }),
      'mcp-login-page': () => null,
      'mcp-login-begin': () => null,
      'mcp-callback': () => ({ ok: true }),
      'mcp-logout': () => ({ revoked: true }),
      'credential-changes': () => ({ entries: [], next: 0, more: false }),
      'write-credential': () => ({ outcome: 'written' }),
      'remove-credential': () => ({ removed: true }),
      'note-credential-uses': () => null,
      'all-sessions': () => ({ sessions: [] }),
      'session-size': ({ session }) => this.#sizeOf(session),
      'tell-look': () => null,
      'end-session': ({ session }) => ({ turns: this.#sizeOf(session).queued }),
      'sweep-sessions': () => ({ deleted: 0 }),
      'collect-metrics': () => ({ metrics: [] }),
      'missing-sessions': () => ({ missing: [] }),
      'hibernate-all': () => ({ hibernated: 0, failed: 0 }),
      drain: () => null,
      rest: () => ({ busy: [] }),
      wake: () => null,
      'work-left': () => ({ turns: 0, calls: 0 }),
      'set-config': () => null,
    };
    return this.#recorded(handlers);
  }

  #sizeOf(session: string): SessionSize {
    const found = this.sessions.get(session);
    if (!found) throw new FairleadError('ERR_NO_SUCH_SESSION', 'no such session');
    const { user, model, turns } = found;
    const state = { running: false, queued: 0, pending: 0, server: 'here' };
    return { session, user, model, createdAt: 1, lastActiveAt: 2, turns, ...state };
  }

  #nothing(of: SessionRef): null {
    this.#of(of);
    return null;
  }

  #recorded(handlers: RequestHandlers<AgentContract>): RequestHandlers<AgentContract> {
    const entries = Object.entries(handlers).map(([name, handler]) => [
      name,
      async (body: never) => {
        this.calls.push({ name, body });
        for (const watcher of this.#watchers) watcher();
        const override = this.overrides.get(name);
        return override ? await override(body) : await (handler as (body: never) => unknown)(body);
      },
    ]);
    return Object.fromEntries(entries) as RequestHandlers<AgentContract>;
  }
}

function summary(session: string, state: TestSession): Omit<SessionInfo, 'running' | 'pending'> {
  const { model, seq, turns } = state;
  return { session, model, title: '', createdAt: 1, lastActiveAt: 1, seq, turns };
}

export interface Fixture {
  front: Front;
  agent: TestAgent;
  url: string;
  port: number;
  readiness: { ready: boolean; reasons: string[] };
  /** How browsers log in, where the options say so. */
  browsers?: BrowserAccess;
  /** Log-outs for other servers. */
  kept: EndedEntry[];
  /** Log-outs cannot be stored. */
  store: { away: boolean };
  close(): Promise<void>;
}

/** Set by tls-front.test.ts, which runs tests of plain HTTP over TLS, too. */
const TLS_FOLDER = process.env['FRONT_TLS_FOLDER'];
const TLS = TLS_FOLDER && { cert: join(TLS_FOLDER, 'cert.pem'), key: join(TLS_FOLDER, 'cert-key.pem') };
/** Of the address of a front. */
export const SCHEME = TLS ? 'https' : 'http';

/** A raw connection to a front, below HTTP. */
export function connectTcp(port: number, host = '127.0.0.1'): Socket {
  return TLS ? connectSecure({ port, host }) : connectPlain(port, host);
}

/** As `request` of node:http, for a front's address. */
export function request(url: string, options: RequestOptions = {}): ClientRequest {
  return url.startsWith('https:') ? requestSecure(url, options) : requestPlain(url, options);
}

/** An origin with the front's own host and another port that exists. */
export function otherPort({ port }: Fixture): string {
  return `${SCHEME}://127.0.0.1:${port === 65_535 ? port - 1 : port + 1}`;
}

export interface FixtureOptions {
  limits?: Partial<Config['limits']>;
  origins?: string[];
  /** Tokens by user. */
  tokens?: Record<string, string>;
  mcpServers?: object;
  /** More of `auth`. */
  auth?: Record<string, unknown>;
  noProxy?: string;
  /** Absent: nothing is logged. */
  log?: Logger;
  /** More of `listen`, and `metrics`. */
  listen?: Partial<Config['listen']>;
  publicUrl?: string;
  /** Browsers log in, as at a server with this token in its data folder, and this key. */
  browsers?: { localToken?: string; key?: string };
  metrics?: { listen?: { host?: string; port: number }; tokenSha256?: string };
}

export function testConfig({
  limits = {},
  origins = [],
  tokens = {},
  auth = {},
  listen = {},
  metrics = METRICS,
  publicUrl,
  mcpServers,
}: FixtureOptions = {}): Config {
  const list = Object.entries(tokens).map(([user, token]) => ({
    user,
    sha256: createHash('sha256').update(token).digest('hex'),
  }));
  const json = {
    listen: { port: 0, origins, ...(TLS && { tls: TLS }), ...listen },
    metrics,
    auth: { mode: list.length === 0 && !('oidc' in auth) ? 'none' : 'token', tokens: list, ...auth },
    limits,
    ...(publicUrl !== undefined && { mcp: { publicUrl } }),
    ...(mcpServers && { mcpServers }),
  };
  return parseConfig(json, {});
}

function unused(): never {
  throw new FairleadError('ERR_INTERNAL', 'not in these tests');
}

/** What administrators ask of one server, whose table is told of each entry at once. */
export function testDesk(agents: Agents, close: Front['endCredentials']): AdminDesk {
  const here = new Here({ instance: 'here', agents, close });
  const acts: Acts = new Acts({
    mirror: () => ({
      write: async ({ key, value, endsAt = 0 }) => {
        acts.put(key.slice(acts.kind.length), value, { endsAt });
        return true;
      },
      remove: async () => true,
    }),
    isHere: (session) => here.has(session),
    perform: (act) => here.perform(act),
    log: pino({ level: 'silent' }),
    takeMs: 50,
  });
  return new AdminDesk({ here, acts });
}

export async function startFront(options: FixtureOptions = {}): Promise<Fixture> {
  const { port1, port2 } = new MessageChannel();
  const agent = new TestAgent(port2);
  const channel = new Channel<AgentHostContract, AgentContract>(port1);
  const readiness = { ready: true, reasons: [] as string[] };
  const config = testConfig(options);
  const kept: EndedEntry[] = [];
  const store = { away: false };
  const browsers =
    options.browsers &&
    browserAccess({
      config,
      keys: [options.browsers.key ?? 'ab'.repeat(32)],
      access: { auth: config.auth, describe: '', ...options.browsers },
      site: () => front.site(),
      close: (ends) => front.endCredentials(ends, CLOSE.unauthorized, 'logged out'),
      keep: async (entry) => {
        if (store.away) throw new FairleadError('ERR_UNAVAILABLE', 'the store is away');
        kept.push(entry);
      },
    });
  const agents: Agents = {
    request: (_session, name, body, requestOptions) => channel.request(name, body, requestOptions),
  };
  const front: Front = createFront({
    config,
    ...(browsers && { browsers }),
    auth: config.auth,
    noProxy: options.noProxy,
    desk: testDesk(agents, (ends, code, reason) => front.endCredentials(ends, code, reason)),
    agents,
    log: options.log ?? pino({ level: 'silent' }),
    readiness: () => readiness,
    metrics: async () => 'test_metric 1\n',
    mcp: { health: async () => [], refresh: () => undefined },
    pins: { read: async () => ({ tools: {} }), pin: async () => ({ tools: {} }), unpin: async () => ({ tools: {} }) },
    forgetLogin: async () => undefined,
  });
  channel.handle(
    {
      'lease-sandbox': unused,
      'keep-sandbox': unused,
      'replace-sandbox': unused,
      'hibernate-sandbox': unused,
      'exec-server': unused,
      'release-sandbox': unused,
      'release-session': unused,
      'mcp-stream': (part) => front.mcpExchanges.stream(part),
      'mcp-token': unused,
      'mcp-login': unused,
      'mcp-login-end': unused,
      'audit-stored': unused,
    },
    {
      ready: () => undefined,
      'start-failed': () => undefined,
      frames: ({ batch }) => front.hub.deliver(batch),
      'session-gone': ({ session, closeCode, reason }) => front.hub.gone(session, closeCode, reason),
      'session-seq': ({ session, seq }) => front.hub.noteSeq(session, seq),
      health: () => undefined,
      'server-tools': () => undefined,
      'server-trouble': () => undefined,
      audit: () => undefined,
      'model-ask': () => undefined,
      'model-leave': () => undefined,
      'model-ended': () => undefined,
      'model-refused': () => undefined,
      'model-answered': () => undefined,
    },
  );
  const close = async (): Promise<void> => {
    await front.close();
    channel.close();
    agent.close();
    port1.close();
    port2.close();
  };
  try {
    const { url, port } = await front.listen();
    return { front, agent, url, port, readiness, kept, store, ...(browsers && { browsers }), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The status of a request with this `Host`, which `fetch` would not send. */
export async function statusWithHost(
  url: string,
  { host, method = 'GET', headers = {} }: { host: string; method?: string; headers?: Record<string, string> },
): Promise<number> {
  const asked = request(url, { method, headers: { ...headers, host } }).end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  answer.resume();
  return answer.statusCode ?? 0;
}
