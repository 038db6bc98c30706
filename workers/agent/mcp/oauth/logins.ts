/** The logins of the users that this thread keeps: their tokens, new logins, the way back, and the end. Agent threads. */
import type { FetchLike } from '@modelcontextprotocol/client';
import { randomBytes } from 'node:crypto';
import type { UserServer } from '../../contract/mcp.js';
import type { Config } from '../../../../src/shared/config.js';
import { errorToData, FairleadError, isFairleadError } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import type { OAuthIdentity } from '../../../../src/shared/oauth-identity.js';
import { threadOf } from '../../../../src/shared/threads/route.js';
import type {
  Callback,
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
import { startLogin, type OAuthServerAuth } from './login-start.js';
import {
  FLOW_MS,
  flowName,
  KEPT_MS,
  loginName,
  type FlowRecord,
  type LoginRecord,
  type StoredFlow,
} from './records.js';
import type { Secrets } from './secrets.js';
import { serverAuth } from './server-auth.js';
import { TokenKeeper } from './token-keeper.js';

const STATE = /^[\w-]{43}$/;

/** For whoever comes back with a state that is none of ours, or was used: nobody is told which. */
const NO_SUCH_LOGIN: LoginEnd = { ok: false, message: 'this login is not known, or its time is over' };

export interface LoginsOptions {
  config: Config;
  secrets: Secrets;
  /** Of a server: for it and for its authorization server; each request has a deadline of its own. */
  fetchFor: (server: string) => FetchLike;
  log: Logger;
  /** How many agent threads there are: a state leads to its user's. */
  threads: number;
}

export class Logins {
  readonly #options: LoginsOptions;
  readonly #keeper: TokenKeeper;
  readonly #flows: LoginFlows;
  #warned = false;

  constructor(options: LoginsOptions) {
    const { secrets, log, fetchFor } = options;
    this.#options = options;
    this.#keeper = new TokenKeeper({ secrets, log, fetchFor });
    this.#flows = new LoginFlows(secrets);
  }

  /** ERR_UNAVAILABLE, ERR_MCP. */
  async token(request: TokenRequest): Promise<TokenLease> {
    return this.#keeper.token(request, this.#auth(request.server));
  }

  /** ERR_UNAVAILABLE, ERR_MCP; ERR_NOT_FOUND for a server that nobody can log in to. */
  async login({ identity, ...request }: LoginRequest & { identity: OAuthIdentity }): Promise<LoginStarted> {
    const { user, server } = request;
    const auth = this.#auth(server);
    const { config, secrets, threads } = this.#options;
    return this.#flows.begin(request, identity.redirectUrl, async () => {
      const state = newState(user, threads);
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
        const name = flowName(state);
        const record: StoredFlow = { open: { ...flow, endsAt: Date.now() + FLOW_MS } };
        await secrets.write(name, record, { ifVersion: 0, ttlMs: FLOW_MS });
        return { url, issuer: issuerOf(flow.discovery), name };
      } catch (error) {
        throw authFailure(server, error);
      }
    });
  }

  loginEnd({ flow }: { flow: string }): Promise<LoginEnd> {
    return this.#flows.wait(flow);
  }

  /** Never rejects but when the store does: what is wrong is told to the person. */
  async callback(callback: Callback): Promise<CallbackResult> {
    if (!STATE.test(callback.state)) return NO_SUCH_LOGIN;
    const name = flowName(callback.state);
    const flow = await this.#take(name);
    if (!flow) return NO_SUCH_LOGIN;
    const { user, server } = flow;
    const end = await this.#finish(flow, callback);
    const left = Math.max(flow.endsAt - Date.now(), 1);
    await this.#options.secrets.write(name, { used: true, outcome: end } satisfies StoredFlow, { ttlMs: left });
    this.#flows.ended(name, end);
    return { ...end, of: { user, server } };
  }

  /** Also what cannot be opened is forgotten. */
  async logout({ user, server }: UserServer): Promise<{ revoked: boolean }> {
    this.#auth(server);
    const { secrets, log } = this.#options;
    const login = await this.#readable(user, server);
    await secrets.remove(loginName(user, server));
    if (!login) return { revoked: false };
    try {
      return { revoked: await revoke(login, this.#options.fetchFor(server)) };
    } catch (error) {
      log.warn({ server, user, err: errorToData(authFailure(server, error)).message }, 'a login was not revoked');
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
      log.info({ server, user }, 'a person has logged in');
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
    if (config.secretKey !== '' || this.#warned) return;
    this.#warned = true;
    log.warn('FAIRLEAD_SECRET_KEY is not set: logins to MCP servers are kept in memory alone, and lost with it');
  }

  /** Of those who come with the same state one gets it. */
  async #take(name: string): Promise<FlowRecord | undefined> {
    const { secrets } = this.#options;
    const kept = await secrets.read(name);
    const stored = kept?.value as StoredFlow | undefined;
    if (!kept || !stored || !('open' in stored) || stored.open.endsAt <= Date.now()) return undefined;
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
    throw new FairleadError('ERR_NOT_FOUND', `${server} is no server that a person can log in to`);
  }
}

/** 256 bits, and by the hash that routes sessions on the user's thread: the callback knows nothing else of it. */
function newState(user: string, threads: number): string {
  const thread = threadOf(user, threads);
  for (;;) {
    const state = randomBytes(32).toString('base64url');
    if (threadOf(state, threads) === thread) return state;
  }
}
