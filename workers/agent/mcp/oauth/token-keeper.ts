/**
 * Keeps users' tokens and renews each before it expires, with one request at a time, also when several servers share the
 * store. Agent threads; all tokens of a user are on one thread.
 */
import { refreshAuthorization, type FetchLike } from '@modelcontextprotocol/client';
import { setTimeout as pause } from 'node:timers/promises';
import { isFairleadError } from '../../../../src/shared/errors.js';
import type { Logger } from '../../../../src/shared/log.js';
import type { TokenLease, TokenRequest } from '../../contract/logins.js';
import { discover, isFor, issuerOf, resourceOf } from './discovery.js';
import { authFailure, isSpent } from './failures.js';
import { KeyedLock } from './keyed-lock.js';
import { KEPT_MS, loginName, newLogin, type LoginRecord } from './records.js';
import type { Secrets } from './secrets.js';
import { sameIssuer, type ServerAuth } from './server-auth.js';

/** The longest lease of a token: another server may have changed or removed it. */
const MAX_LEASE_MS = 300_000;
/** The lease of having no token: the user may log in at any moment. */
const NO_TOKEN_MS = 2_000;
/** The lease of a valid token that could not be renewed. */
const TRY_AGAIN_MS = 30_000;
/** After this a claimed renewal is given up: its server has died. */
const CLAIM_MS = 90_000;
const CLAIM_POLL_MS = 100;

export interface TokenKeeperOptions {
  secrets: Secrets;
  /** With a deadline for each request. */
  fetchFor: (server: string) => FetchLike;
  log: Logger;
}

export interface KeptLogin {
  login: LoginRecord;
  version: number;
  /** Sealed with a key that may go soon. */
  isOld?: true;
}

export class TokenKeeper {
  readonly #options: TokenKeeperOptions;
  readonly #renewals = new KeyedLock();

  constructor(options: TokenKeeperOptions) {
    this.#options = options;
  }

  /** A lease without a token: there is none, or only the refused one. ERR_UNAVAILABLE, ERR_MCP. */
  async token(request: TokenRequest, auth: ServerAuth | undefined): Promise<TokenLease> {
    if (!auth) return leaseOf(undefined);
    const { user, refused } = request;
    const kept = await this.#meant(request);
    if (kept?.isOld) await this.#reseal(request, kept);
    if (!kept || !wantsRenewal(kept.login, refused)) return leaseOf(kept?.login);
    const issuer = issuerOf(kept.login.discovery);
    return this.#renewals.run(`${user} ${issuer}`, () => this.#renew(request, auth));
  }

  /** A login at the address that the server had before is none at its present one: its token must not go there. */
  async #meant({ user, server, url }: TokenRequest): Promise<KeptLogin | undefined> {
    const kept = await this.read(user, server);
    return kept && isFor(kept.login.discovery, url) ? kept : undefined;
  }

  async read(user: string, server: string): Promise<KeptLogin | undefined> {
    const found = await this.#options.secrets.read(loginName(user, server));
    return found && { ...found, login: found.value as LoginRecord };
  }

  /** Not while it is renewed: the new tokens are written over the version that the renewal has claimed, and over no other. */
  async #reseal(request: TokenRequest, { login, version }: KeptLogin): Promise<void> {
    if ((login.renewingUntil ?? 0) > Date.now()) return;
    try {
      await this.#write(request, login, version);
    } catch (error) {
      const { server, user } = request;
      this.#options.log.warn({ server, user, err: (error as Error).message }, 'a login stays sealed with an old key');
    }
  }

  async #renew(request: TokenRequest, auth: ServerAuth): Promise<TokenLease> {
    const { server, refused } = request;
    const giveUpAt = Date.now() + CLAIM_MS;
    for (;;) {
      const kept = await this.#meant(request);
      if (!kept || !wantsRenewal(kept.login, refused)) return leaseOf(kept?.login);
      if (kept.login.tokens.refresh_token === undefined) return leaseOf(undefined);
      const claimed = (kept.login.renewingUntil ?? 0) > Date.now();
      if (claimed && refused === undefined && isGood(kept.login)) return leaseOf(kept.login, TRY_AGAIN_MS);
      if (!claimed) {
        const version = await this.#write(
          request,
          { ...kept.login, renewingUntil: Date.now() + CLAIM_MS },
          kept.version,
        );
        if (version !== undefined) return this.#renewClaimed(request, auth, { login: kept.login, version });
      } else if (Date.now() > giveUpAt) {
        throw authFailure(server, new TypeError('another server still renews the token'));
      } else {
        await pause(CLAIM_POLL_MS);
      }
    }
  }

  /** Only this server renews now: a refresh token that is used twice may end the whole login (RFC 9700, section 4.14). */
  async #renewClaimed(request: TokenRequest, auth: ServerAuth, { login, version }: KeptLogin): Promise<TokenLease> {
    const { server, refused } = request;
    const back = async (as: LoginRecord): Promise<void> => void (await this.#write(request, as, version));
    try {
      if (refused !== undefined && (await this.#hasMoved(server, auth, login))) {
        await back(login);
        return leaseOf(undefined);
      }
      const tokens = await refreshAuthorization(login.discovery.authorizationServerUrl, {
        ...(login.discovery.authorizationServerMetadata
          ? { metadata: login.discovery.authorizationServerMetadata }
          : {}),
        clientInformation: login.client,
        refreshToken: login.tokens.refresh_token ?? '',
        ...resourceOf(login.discovery),
        fetchFn: this.#options.fetchFor(server),
      });
      const renewed = newLogin({
        ...login,
        // A response without a scope keeps the scope (RFC 6749, section 6).
        tokens: {
          ...(login.tokens.scope === undefined ? {} : { scope: login.tokens.scope }),
          ...tokens,
          issuer: login.tokens.issuer,
        },
      });
      // A login or a logout meanwhile takes precedence.
      const written = await this.#write(request, renewed, version);
      return leaseOf(written === undefined ? (await this.#meant(request))?.login : renewed);
    } catch (error) {
      if (isSpent(error)) {
        this.#options.log.info({ server, user: request.user }, 'the login has expired: the user must log in again');
        const { refresh_token: _spent, ...tokens } = login.tokens;
        const { renewAt: _never, ...rest } = login;
        await back({ ...rest, tokens });
        return leaseOf(refused === undefined ? { ...rest, tokens } : undefined);
      }
      await back(login);
      if (refused === undefined && isGood(login)) return leaseOf(login, TRY_AGAIN_MS);
      throw authFailure(server, error);
    }
  }

  /** True when the MCP server now names another authorization server: the old one must not be asked. */
  async #hasMoved(server: string, auth: ServerAuth, login: LoginRecord): Promise<boolean> {
    const { resourceMetadataUrl } = login.discovery;
    try {
      const now = await discover({ auth, resourceMetadataUrl, fetch: this.#options.fetchFor(server) });
      return !sameIssuer(issuerOf(now), issuerOf(login.discovery));
    } catch (error) {
      // Wrong metadata is reported at the next login. While metadata is unavailable, the old server still counts.
      return isFairleadError(error, 'ERR_MCP');
    }
  }

  #write({ user, server }: TokenRequest, login: LoginRecord, ifVersion: number): Promise<number | undefined> {
    return this.#options.secrets.write(loginName(user, server), login, { ifVersion, ttlMs: KEPT_MS });
  }
}

function wantsRenewal({ tokens, renewAt, expiresAt }: LoginRecord, refused: string | undefined): boolean {
  if (refused !== undefined) return tokens.access_token === refused;
  if (tokens.refresh_token === undefined) return false;
  return Date.now() >= Math.min(renewAt ?? Infinity, expiresAt ?? Infinity);
}

function isGood({ expiresAt }: LoginRecord): boolean {
  return expiresAt === undefined || expiresAt > Date.now();
}

function leaseOf(login: LoginRecord | undefined, atMostMs = MAX_LEASE_MS): TokenLease {
  const now = Date.now();
  if (!login || !isGood(login)) return { until: now + NO_TOKEN_MS };
  const renewAt = login.renewAt ?? Infinity;
  // A token that is overdue for renewal gets a short lease.
  const until = Math.min(renewAt > now ? renewAt : now + NO_TOKEN_MS, login.expiresAt ?? Infinity, now + atMostMs);
  return { token: login.tokens.access_token, until };
}
