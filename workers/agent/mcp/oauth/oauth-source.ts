/**
 * Tokens for the connections to `url` servers: the user's own or Fairlead's. A refused token is renewed; when that does not
 * help, the user is asked to log in, in the session of the call. Agent threads.
 */
import type { FetchLike } from '@modelcontextprotocol/client';
import type { UserServer } from '../../contract/mcp.js';
import type { UrlServerConfig } from '../../../../src/shared/config-mcp.js';
import type { Config } from '../../../../src/shared/config.js';
import { FairleadError } from '../../../../src/shared/errors.js';
import { AnsweredElsewhere } from '../host/question.js';
import { abortable } from '../../../../src/shared/abort.js';
import { NOBODY } from '../catalogue/nobody.js';
import { credentialsRefused, type AuthNeed, type AuthSource, type ServerCredentials } from '../remote/auth-source.js';
import type { Caller, ServerAsks } from '../host/server-connection.js';
import { appToken } from './app-tokens.js';
import { readable } from './oauth-answers.js';
import { challengeOf, type Challenge } from '../../http/challenge.js';
import type { LoginHost, LoginRequest, LoginStarted } from '../../contract/logins.js';
import { authOf, serverAuth, type ServerAuth } from './server-auth.js';
import { TokenLeases } from './token-leases.js';

/** A renewed token, then a login, then a login with wider scopes. */
const MAX_ROUNDS = 3;

export interface OAuthSourceOptions {
  config: Config;
  host: LoginHost;
  fetchFor: (server: string) => FetchLike;
}

export class OAuthSource implements AuthSource {
  readonly #options: OAuthSourceOptions;
  readonly #leases = new TokenLeases();
  /** Calls of a session that want the same login share one question. */
  readonly #asking = new Map<string, Promise<void>>();

  constructor(options: OAuthSourceOptions) {
    this.#options = options;
  }

  async credentialsFor(
    { user }: Caller,
    server: string,
    config: UrlServerConfig,
  ): Promise<ServerCredentials | undefined> {
    const auth = authOf(config);
    if (auth.type === 'none') return undefined;
    const { host } = this.#options;
    const key = auth.type === 'oauth' ? user : '';
    const provider = this.#leases.provider(leaseKey(key, server, auth), () =>
      auth.type === 'oauth'
        ? host.token({ user, server, url: auth.url })
        : appToken(server, auth, { fetch: this.#fetchFor(server, auth) }),
    );
    return { key, provider };
  }

  /** After a change of the login: the user's next request asks for a new token. */
  forget({ user, server }: UserServer): void {
    const auth = serverAuth(this.#options.config, server);
    if (auth) this.#leases.set(leaseKey(user, server, auth), undefined);
  }

  #fetchFor(server: string, { url }: ServerAuth): FetchLike {
    return readable(this.#options.fetchFor(server), { resource: url, isUsers: false });
  }

  async whenUnauthorized(need: AuthNeed): Promise<void> {
    const { server, config, error, round } = need;
    const auth = authOf(config);
    if (auth.type === 'none') throw credentialsRefused(server, error);
    const challenge = challengeOf(error);
    if (round > MAX_ROUNDS || (round === MAX_ROUNDS && !challenge.insufficient)) throw stillRefused(server, challenge);
    if (auth.type === 'oauth') return this.#renewOrLogin(need, auth, challenge);
    if (round > 1) throw stillRefused(server, challenge);
    const { insufficient: _insufficient, token: _token, ...wanted } = challenge;
    const lease = await appToken(server, auth, { fetch: this.#fetchFor(server, auth), ...wanted });
    this.#leases.set(leaseKey('', server, auth), lease);
  }

  async #renewOrLogin(need: AuthNeed, auth: ServerAuth, challenge: Challenge): Promise<void> {
    const { caller, server, round, asks = NOBODY, signal } = need;
    const { user } = caller;
    const { insufficient, token, ...wanted } = challenge;
    if (!insufficient && token !== undefined && round === 1) {
      const request = { user, server, url: auth.url, refused: token };
      const lease = await abortable(() => this.#options.host.token(request), signal);
      if (lease.token !== undefined) return this.#leases.set(leaseKey(user, server, auth), lease);
    }
    if (asks === NOBODY) {
      throw new FairleadError('ERR_MCP_LOGIN', `${server} wants you to log in: «fairlead mcp login ${server}»`);
    }
    const request = { user, server, ...wanted, ...(insufficient ? { stepUp: true } : {}) };
    await this.#login(request, { session: caller.session, asks, signal });
    this.#leases.set(leaseKey(user, server, auth), undefined);
  }

  /** Joins a login that another call of the session waits for. When that call is cancelled, this one asks itself. */
  async #login(
    request: LoginRequest,
    { session, asks, signal }: { session: string; asks: ServerAsks; signal: AbortSignal },
  ): Promise<void> {
    const key = JSON.stringify([session, request]);
    for (;;) {
      const known = this.#asking.get(key);
      if (!known) break;
      try {
        return await abortable(() => known, signal);
      } catch (error) {
        if (signal.aborted || !(error instanceof FairleadError) || error.code !== 'ERR_CANCELLED') throw error;
      }
    }
    const asking = this.#ask(request, asks, signal);
    this.#asking.set(key, asking);
    try {
      await asking;
    } finally {
      this.#asking.delete(key);
    }
  }

  async #ask(request: LoginRequest, asks: ServerAsks, signal: AbortSignal): Promise<void> {
    const { user, server } = request;
    const { host } = this.#options;
    const started = await abortable(() => host.login(request), signal);
    const over = new AbortController();
    const question = { server, mode: 'url' as const, message: loginPrompt(server, started), url: started.url };
    const end = abortable(() => host.loginEnd({ user, server, flow: started.flow }), signal);
    const asked = asks.elicit(question, AbortSignal.any([signal, over.signal]));
    try {
      const first = await Promise.race([end, asked]);
      if ('action' in first && first.action !== 'accept') throw declined(server, signal);
      // Acceptance means that the user opens the address; the login ends with their return.
      const ended = await end;
      if (!ended.ok) throw new FairleadError('ERR_MCP_LOGIN', ended.message);
      over.abort(new AnsweredElsewhere({ action: 'accept' }));
    } finally {
      end.catch(() => undefined); // already reported, or no longer relevant
      over.abort(); // withdraws the question if it is still open
      await asked;
    }
  }
}

/** A server whose address or authorization has changed is another one to its tokens. */
function leaseKey(user: string, server: string, auth: ServerAuth): string {
  return JSON.stringify([user, server, auth]);
}

function loginPrompt(server: string, { issuer }: LoginStarted): string {
  const where = URL.canParse(issuer) ? new URL(issuer).host : issuer;
  return `${server} wants you to log in at ${where}. Open the address, and come back when you are done.`;
}

function declined(server: string, signal: AbortSignal): FairleadError {
  if (signal.aborted) return new FairleadError('ERR_CANCELLED', 'cancelled');
  return new FairleadError('ERR_MCP_LOGIN', `${server} needs a login, and it was declined`);
}

function stillRefused(server: string, { insufficient, scope }: Challenge): FairleadError {
  const why = insufficient ? `the login did not grant what it wants (${scope ?? 'scopes that it does not name'})` : '';
  return new FairleadError(
    'ERR_MCP_LOGIN',
    `${server} still refuses${why === '' ? ' the new token' : `: ${why}`}: log in with an account that may, «fairlead mcp login ${server}»`,
  );
}
