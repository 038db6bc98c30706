/** One Fairlead server's part in a login, for tests: its real modules over a real store, and people who answer. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import type { Test } from 'tap';
import type { UrlServerConfig } from '../../../../../src/shared/config-mcp.js';
import { parseConfig } from '../../../../../src/shared/config.js';
import { registry } from '../../../../../src/shared/metrics.js';
import { openStore } from '../../../../../workers/agent/store/open.js';
import type { TokenLease, TokenRequest } from '../../../../../workers/agent/contract/logins.js';
import type { Store } from '../../../../../workers/agent/store/store.js';
import { Logins } from '../../../../../workers/agent/mcp/oauth/logins.js';
import { OAuthSource } from '../../../../../workers/agent/mcp/oauth/oauth-source.js';
import { openSecrets } from '../../../../../workers/agent/mcp/oauth/secrets.js';
import { SafeHttp } from '../../../../../workers/agent/http/http.js';
import { Remotes } from '../../../../../workers/agent/mcp/remote/remotes.js';
import type { ServerAsks } from '../../../../../workers/agent/mcp/host/server-connection.js';
import type { Question, QuestionAnswer } from '../../../../../workers/agent/mcp/host/question.js';
import { logIn, startOAuthServer, type OAuthServer } from '../../../../helpers/oauth-server.js';

export const KEY = '11'.repeat(32);
export const IDENTITY = {
  redirectUrl: 'https://fairlead.test/v1/mcp/oauth/callback',
  loginUrl: 'https://fairlead.test/v1/mcp/oauth/login/',
};
const TIMEOUT_MS = 20_000;

export async function oauthServer(t: Test): Promise<OAuthServer> {
  const as = await startOAuthServer();
  t.teardown(() => as.stop());
  return as;
}

/** A folder for stores that several hosts share, one after the other or at once. */
export async function storeDir(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'fl-oauth-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

export interface HostOptions {
  url: string;
  dir?: string;
  /** Comma separated; the first seals. */
  secretKeys?: string;
  /** Of the server in the configuration. */
  auth?: Record<string, unknown>;
}

/** Answers of a person: `Alice.elicit` is called for each question. */
export type Person = (question: Question, signal: AbortSignal) => Promise<QuestionAnswer>;

export class TestHost {
  readonly logins: Logins;
  readonly source: OAuthSource;
  /** Each line as it would be written. */
  readonly logged: string[] = [];
  readonly questions: Question[] = [];
  /** state → the cookie of the browser in which that login was begun. */
  readonly cookies = new Map<string, string>();
  readonly store: Store;
  /** Of the server named remote. */
  readonly server: UrlServerConfig;
  readonly #remotes: Remotes;
  readonly #http: SafeHttp;
  #closed = false;

  private constructor(store: Store, { url, secretKeys = KEY, auth, dir }: HostOptions) {
    const config = parseConfig(
      { mcp: { allowLoopback: true }, mcpServers: { remote: { url, ...(auth ? { auth } : {}) } } },
      { FAIRLEAD_SECRET_KEYS: secretKeys, ...(dir === undefined ? {} : { FAIRLEAD_DATA: dir }) },
    );
    this.server = config.mcpServers['remote'] as UrlServerConfig;
    const log = pino({ level: 'trace' }, { write: (line: string) => void this.logged.push(line) });
    const rules = { allowLoopback: true, allowHosts: [] };
    this.#http = new SafeHttp({ name: 'the authorization server', rules, maxConnections: 4, timeoutMs: TIMEOUT_MS });
    const fetchFor = () => this.#http.fetch;
    this.store = store;
    this.logins = new Logins({ config, secrets: openSecrets(store, config.secretKeys), fetchFor, log, threads: 1 });
    this.source = new OAuthSource({
      config,
      fetchFor,
      host: {
        token: (request) => this.logins.token(request),
        login: (request) => this.logins.login({ ...request, identity: IDENTITY }),
        loginEnd: (request) => this.logins.loginEnd(request),
      },
    });
    // Each agent thread has a registry of its own; here several hosts share one.
    registry.removeSingleMetric('fairlead_agent_remote_connections');
    this.#remotes = new Remotes(config, log, { auth: this.source });
  }

  static async start(t: Test, options: HostOptions): Promise<TestHost> {
    const dir = options.dir ?? (await storeDir(t));
    const config = parseConfig({}, { FAIRLEAD_DATA: dir });
    const host = new TestHost(await openStore('lmdb', config, { owner: 'test' }), options);
    t.teardown(() => host.close());
    return host;
  }

  /** The text that the tool answers. The person goes where the question leads, unless told otherwise. */
  async call(
    user: string,
    tool = 'whoami',
    person?: Person,
    signal = AbortSignal.timeout(TIMEOUT_MS),
  ): Promise<string> {
    const connection = await this.#remotes.get({ session: `session of ${user}`, user }, 'remote');
    const result = await connection.callTool({
      name: tool,
      args: {},
      signal,
      timeoutMs: TIMEOUT_MS,
      asks: this.asks(person ?? ((question) => this.goThere(question))),
      onOutput: () => undefined,
    });
    const [block] = result.content;
    return block?.type === 'text' ? block.text : JSON.stringify(result);
  }

  /** For the address of its configuration. */
  token(request: Omit<TokenRequest, 'url'>): Promise<TokenLease> {
    return this.logins.token({ ...request, url: this.server.url });
  }

  asks(person: Person): ServerAsks {
    return {
      elicit: (question, signal) => {
        this.questions.push(question);
        return person(question, signal);
      },
    };
  }

  async goThere({ url = '' }: Question): Promise<QuestionAnswer> {
    await this.comeBack(await this.logIn(url));
    return { action: 'accept' };
  }

  /** As the page and its button do, and then the authorization server. This host's browser has the cookie from then on. */
  async logIn(url: string): Promise<URL> {
    if (!url.startsWith(IDENTITY.loginUrl)) throw new Error(`this is no page of ours: ${url}`);
    const begun = await this.logins.begin(url.slice(IDENTITY.loginUrl.length));
    if (!begun) throw new Error('the page is not known');
    this.cookies.set(begun.state, begun.browser);
    return logIn(begun.url);
  }

  /** As the callback route does with the address. `cookies`: of another browser. */
  comeBack(back: URL, cookies: ReadonlyMap<string, string> = this.cookies): ReturnType<Logins['callback']> {
    const value = (name: string): string | undefined => back.searchParams.get(name) ?? undefined;
    const [code, iss, error] = [value('code'), value('iss'), value('error')];
    const state = value('state') ?? '';
    const browser = cookies.get(state);
    return this.logins.callback({
      state,
      ...(browser === undefined ? {} : { browser }),
      ...(code === undefined ? {} : { code }),
      ...(iss === undefined ? {} : { iss }),
      ...(error === undefined ? {} : { error }),
    });
  }

  /** Twice is fine. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.logins.close();
    await this.#remotes.disconnect();
    await this.#http.close();
    await this.store.close();
  }
}
