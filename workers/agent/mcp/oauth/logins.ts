/** The logins of this thread's users: tokens, new logins, callbacks and logouts. Agent threads. */
import type { FetchLike } from '@modelcontextprotocol/client';
import { randomBytes } from 'node:crypto';
import type { UserServer } from '../../contract/mcp.js';
import type { Config } from '../../../../src/shared/config.js';
import { errorToData, FairleadError, isFairleadError } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import { hasKeys } from '../../../../src/shared/config-secret-keys.js';
import type { OAuthIdentity } from '../../../../src/shared/oauth-identity.js';
import { threadOf } from '../../../../src/shared/threads/route.js';
import type {
  Callback,
  LoginBegun,
  LoginPage,
  CallbackResult,
  LoginEnd,
  LoginRequest,
  LoginStarted,
  TokenLease,
  TokenRequest,
} from '../../contract/logins.js';
import { askChallenge } from '../../http/challenge.js';
import { issuerOf } from './discovery.js';
import { authFailure } from './failures.js';
import { finishLogin, revoke } from './login-finish.js';
import { LoginFlows } from './login-flows.js';
import { readable } from './oauth-answers.js';
import { startLogin, type OAuthServerAuth } from './login-start.js';
import {
  browserHash,
  FLOW_MS,
  flowName,
  KEPT_MS,
  loginName,
  pageName,
  type FlowRecord,
  type LoginRecord,
  type PageRecord,
  type StoredFlow,
} from './records.js';
import type { Secrets } from './secrets.js';
import { serverAuth } from './server-auth.js';
import { TokenKeeper } from './token-keeper.js';

const STATE = /^[\w-]{43}$/;

/** For an unknown state and for a used one: the answer does not tell which. */
const OTHER_BROWSER: LoginEnd = {
  ok: false,
  message:
    'this login was begun in another browser, or by somebody else: nothing was connected. Begin it in this browser',
};
const NO_SUCH_LOGIN: LoginEnd = { ok: false, message: 'this login is not known, or its time is over' };

export interface LoginsOptions {
  config: Config;
  secrets: Secrets;
  /** The `fetch` for a server and its authorization server, with a deadline for each request. */
  fetchFor: (server: string) => FetchLike;
  log: Logger;
  /** The number of agent threads: a state is routed to its user's thread. */
  threads: number;
}

export class Logins {
  readonly #options: LoginsOptions;
  readonly #keeper: TokenKeeper;
  readonly #flows: LoginFlows;
  #warned = false;

  constructor(options: LoginsOptions) {
    const { secrets, log } = options;
    const fetchFor = (server: string): FetchLike =>
      readable(options.fetchFor(server), { resource: this.#auth(server).url, isUsers: true });
    this.#options = { ...options, fetchFor };
    this.#keeper = new TokenKeeper({ secrets, log, fetchFor });
    this.#flows = new LoginFlows(secrets);
  }

  /** ERR_UNAVAILABLE, ERR_MCP. A thread that has a newer configuration may ask for a server that is not known here yet: it gets none. */
  async token(request: TokenRequest): Promise<TokenLease> {
    return this.#keeper.token(request, serverAuth(this.#options.config, request.server));
  }

  /** ERR_UNAVAILABLE, ERR_MCP; ERR_NOT_FOUND for a server without logins. */
  async login({ identity, ...request }: LoginRequest & { identity: OAuthIdentity }): Promise<LoginStarted> {
    const { user, server } = request;
    const auth = this.#auth(server);
    const { config, secrets, threads } = this.#options;
    return this.#flows.begin(request, identity.redirectUrl, async () => {
      const [state, ticket] = [newState(user, threads), newState(user, threads)];
      try {
        const login = await this.#readable(user, server);
        const fetch = this.#options.fetchFor(server);
        const { allowLoopback } = config.mcp;
        const wanted = request.unasked ? { ...request, ...(await askChallenge(auth.url, fetch)) } : request;
        const { url, flow } = await startLogin({
          request: wanted,
          identity,
          auth,
          login,
          state,
          secrets,
          fetch,
          allowLoopback,
        });
        const [name, issuer, endsAt] = [flowName(state), issuerOf(flow.discovery), Date.now() + FLOW_MS];
        const record: StoredFlow = { open: { ...flow, endsAt } };
        await secrets.write(name, record, { ifVersion: 0, ttlMs: FLOW_MS });
        const page: PageRecord = { user, server, issuer, state, url, endsAt };
        await secrets.write(pageName(ticket), page, { ifVersion: 0, ttlMs: FLOW_MS });
        return { url: identity.loginUrl + ticket, issuer, name, records: [name, pageName(ticket)] };
      } catch (error) {
        throw authFailure(server, error);
      }
    });
  }

  /** What is shown before anything begins: opening the page changes nothing, so that a prefetch is harmless. */
  async page(ticket: string): Promise<LoginPage | null> {
    const page = await this.#page(ticket);
    return page ? { user: page.user, server: page.server, issuer: page.issuer } : null;
  }

  /** Ties the login to the browser that is given this cookie; the newest one counts. */
  async begin(ticket: string): Promise<LoginBegun | null> {
    const page = await this.#page(ticket);
    if (!page) return null;
    const { secrets } = this.#options;
    const { state, url, issuer } = page;
    const kept = await secrets.read(flowName(state));
    const stored = kept?.value as StoredFlow | undefined;
    if (!kept || !stored || !('open' in stored)) return null;
    const browser = randomBytes(32).toString('base64url');
    const open = { ...stored.open, browser: browserHash(browser) };
    const leftMs = Math.max(open.endsAt - Date.now(), 1);
    const written = await secrets.write(flowName(state), { open } satisfies StoredFlow, {
      ifVersion: kept.version,
      ttlMs: leftMs,
    });
    return written === undefined ? null : { url, issuer, state, browser, leftMs };
  }

  loginEnd({ flow }: { flow: string }): Promise<LoginEnd> {
    return this.#flows.wait(flow);
  }

  /** Rejects only when the store does: other failures are for the user to read. */
  async callback(callback: Callback): Promise<CallbackResult> {
    if (!STATE.test(callback.state)) return NO_SUCH_LOGIN;
    const name = flowName(callback.state);
    const flow = await this.#take(name, callback.browser);
    if (!flow) return NO_SUCH_LOGIN;
    if (flow === 'other-browser') return OTHER_BROWSER;
    const { user, server } = flow;
    const end = await this.#finish(flow, callback);
    const left = Math.max(flow.endsAt - Date.now(), 1);
    await this.#options.secrets.write(name, { used: true, outcome: end } satisfies StoredFlow, { ttlMs: left });
    this.#flows.ended(name, end);
    return { ...end, of: { user, server } };
  }

  /** Also removes a login that cannot be opened. */
  async logout({ user, server }: UserServer): Promise<{ revoked: boolean }> {
    this.#auth(server);
    const { secrets, log } = this.#options;
    const login = await this.#readable(user, server);
    await secrets.remove(loginName(user, server));
    if (!login) return { revoked: false };
    try {
      return { revoked: await revoke(login, this.#options.fetchFor(server)) };
    } catch (error) {
      log.warn({ server, user, err: errorToData(authFailure(server, error)).message }, 'a login could not be revoked');
      return { revoked: false };
    }
  }

  close(): void {
    this.#flows.close();
  }

  async #finish(flow: FlowRecord, callback: Callback): Promise<LoginEnd> {
    const { user, server } = flow;
    const { secrets, log } = this.#options;
    try {
      const login = await finishLogin(flow, callback, this.#options.fetchFor(server));
      await secrets.write(loginName(user, server), login, { ttlMs: KEPT_MS });
      log.info({ server, user }, 'a user has logged in');
      this.#warnOfMemory();
      return { ok: true };
    } catch (error) {
      const { message } = authFailure(server, error);
      log.warn({ server, user, err: message }, 'a login failed');
      return { ok: false, message };
    }
  }

  #warnOfMemory(): void {
    const { config, log } = this.#options;
    if (hasKeys(config.secretKeys) || this.#warned) return;
    this.#warned = true;
    log.warn(
      'FAIRLEAD_SECRET_KEYS is not set: logins to MCP servers are kept in memory only, and a restart loses them',
    );
  }

  async #page(ticket: string): Promise<PageRecord | undefined> {
    if (!STATE.test(ticket)) return undefined;
    const kept = await this.#options.secrets.read(pageName(ticket));
    const page = kept?.value as PageRecord | undefined;
    return page && page.endsAt > Date.now() ? page : undefined;
  }

  /** Of several callbacks with the same state only one gets the flow, and only in the browser in which it was begun. */
  async #take(name: string, browser: string | undefined): Promise<FlowRecord | 'other-browser' | undefined> {
    const { secrets } = this.#options;
    const kept = await secrets.read(name);
    const stored = kept?.value as StoredFlow | undefined;
    if (!kept || !stored || !('open' in stored) || stored.open.endsAt <= Date.now()) return undefined;
    // The flow stays: whoever has no cookie must not end the login of who has it.
    if (browser === undefined || stored.open.browser !== browserHash(browser)) return 'other-browser';
    const left = stored.open.endsAt - Date.now();
    const taken = await secrets.write(name, { used: true } satisfies StoredFlow, {
      ifVersion: kept.version,
      ttlMs: left,
    });
    return taken === undefined ? undefined : stored.open;
  }

  async #readable(user: string, server: string): Promise<LoginRecord | undefined> {
    try {
      return (await this.#keeper.read(user, server))?.login;
    } catch (error) {
      if (isFairleadError(error, 'ERR_MCP')) return undefined; // sealed with another key
      throw error;
    }
  }

  #auth(server: string): OAuthServerAuth {
    const auth = serverAuth(this.#options.config, server);
    if (auth?.type === 'oauth') return auth;
    throw new FairleadError('ERR_NOT_FOUND', `${server} is not a server that users log in to`);
  }
}

/** 256 random bits that hash to the user's thread: the callback has nothing else to be routed by. */
function newState(user: string, threads: number): string {
  const thread = threadOf(user, threads);
  for (;;) {
    const state = randomBytes(32).toString('base64url');
    if (threadOf(state, threads) === thread) return state;
  }
}
