/** A real front on port 0, with a `TestAgent` where an agent thread would be. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request as requestPlain, type RequestOptions } from 'node:http';
import { request as requestSecure } from 'node:https';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectSecure } from 'node:tls';
import { join } from 'node:path';
import { MessageChannel } from 'node:worker_threads';
import pino, { type Logger } from 'pino';
import { parseConfig, type Config } from '../../../src/shared/config.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { METRICS } from '../../helpers/metrics.js';
import { browserAccess, type BrowserAccess } from '../../../src/boot/browser-access.js';
import { createFront, type Front } from '../../../src/boot/front.js';
import type { EndedEntry } from '../../../src/front/browser/ended-logins.js';
import type { ConsoleFiles } from '../../../src/front/console-files.js';
import type { RequestHead } from '../../../src/front/http.js';
import { Acts } from '../../../src/admin/acts.js';
import { AdminDesk } from '../../../src/admin/desk.js';
import { Here } from '../../../src/admin/here.js';
import { Credentials } from '../../../src/credentials/credentials.js';
import { CLOSE } from '../../../src/shared/protocol.js';
import type { Agents } from '../../../src/threads/agents.js';
import { Channel } from '../../../src/shared/threads/channel.js';
import type { AgentContract, AgentHostContract } from '../../../workers/agent/contract/messages.js';
import { TestAgent } from './test-agent.js';

/** What the rest of the engine says of itself. */
export const ENGINE_STATUS = {
  version: '0.0.0',
  node: '20.0.0',
  pid: 1,
  startedAt: '2026-01-01T00:00:00.000Z',
  uptimeMs: 60_000,
  ready: true,
  reasons: [],
  outages: [],
  mcpServers: [{ name: 'docs', state: 'down' }],
  sessionsInMemory: 3,
  turns: { running: 2 },
  modelCalls: { running: 1, waiting: 0 },
  sandboxes: [{ server: 'workspace', state: 'leased', count: 3 }],
  sandboxLine: 0,
  threads: { size: 1, alive: 1 },
  parts: { store: 'LMDB', sandbox: 'Docker', model: 'demo' },
};

/** A request without anything. */
export const HEAD: RequestHead = {
  method: 'GET',
  path: '/',
  query: '',
  host: '',
  origin: '',
  authorization: '',
  accept: '',
  acceptEncoding: '',
  ifNoneMatch: '',
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

export interface Fixture {
  config: Config;
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
  /** Users who are blocked. */
  blocked?: string[];
  /** Browsers log in, as at a server with this token in its data folder, and this key. */
  browsers?: { localToken?: string; key?: string };
  metrics?: { listen?: { host?: string; port: number }; tokenSha256?: string };
  console?: ConsoleFiles | undefined;
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

function credentialsWith(agents: Agents, blocked: readonly string[]): Credentials {
  const log = pino({ level: 'silent' });
  const credentials = new Credentials({
    agents,
    log,
    isolated: () => true,
    onState: () => undefined,
    onRevoked: () => 0,
    onBlocked: () => 0,
  });
  for (const user of blocked) credentials.blocked.put(user, '{"since":1,"by":"root"}');
  return credentials;
}

export async function startFront(options: FixtureOptions = {}): Promise<Fixture> {
  const { port1, port2 } = new MessageChannel();
  const agent = new TestAgent(port2);
  const channel = new Channel<AgentHostContract, AgentContract>(port1);
  const readiness = { ready: true, reasons: [] as string[] };
  const frozen = testConfig(options);
  // Its tokens may change, as a reload changes them.
  const config: Config = { ...frozen, auth: { ...frozen.auth } };
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
    console: options.console,
    ...(options.blocked && { credentials: credentialsWith(agents, options.blocked) }),
    auth: config.auth,
    noProxy: options.noProxy,
    desk: testDesk(agents, (ends, code, reason) => front.endCredentials(ends, code, reason)),
    agents,
    log: options.log ?? pino({ level: 'silent' }),
    readiness: () => readiness,
    metrics: async () => 'test_metric 1\n',
    mcp: { health: async () => [], refresh: () => undefined },
    status: async () => ENGINE_STATUS,
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
      'stat-file': unused,
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
      'model-health': () => undefined,
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
    return { config, front, agent, url, port, readiness, kept, store, ...(browsers && { browsers }), close };
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
