/** Fairlead as a client of an OpenID Connect issuer: sends a browser there with PKCE, and takes what it comes back with. Main thread. */
import type { JWTVerifyGetKey } from 'jose';
import type * as OpenId from 'openid-client';
import { FairleadError } from '../../shared/errors.js';
import { proxyFor, type Proxies } from '../../shared/proxies.js';
import { createProxyAgent, undici } from '../../shared/proxy-agent.js';
import type { IssuerLogOut } from './login.js';
import { readLogOutToken } from './logout-token.js';

/** Of one request to the issuer. A browser waits for it, and a front's request is cut after a while. */
const TIMEOUT_S = 10;
/** Far more than its metadata, keys and claims. */
const MAX_RESPONSE_BYTES = 1_048_576;
/** The issuer's metadata are read anew after so long, in the background. */
const METADATA_MS = 3_600_000;
/** One that does not answer is asked at most so often. */
const RETRY_MS = 1_000;

export interface IssuerOptions {
  issuer: string;
  clientId: string;
  /** '' for a public client. */
  clientSecret: string;
  scope: string;
  /** Signatures that are taken. */
  algorithms: readonly string[];
  clockSkewMs: number;
  /** Where the user's browser comes back. */
  redirectUrl: () => string;
  proxies: Proxies;
  now?: () => number;
}

/** What only the browser that began a log-in knows. */
export interface Flow {
  state: string;
  nonce: string;
  verifier: string;
}

export type Claims = Readonly<Record<string, unknown>> & { iss: string; sub: string; iat: number };

interface Ready {
  openId: typeof OpenId;
  config: OpenId.Configuration;
  at: number;
}

export class IssuerClient {
  readonly #options: IssuerOptions;
  readonly #now: () => number;
  #ready: Ready | undefined;
  #asking: Promise<Ready> | undefined;
  #keys: { url: string; set: JWTVerifyGetKey } | undefined;
  #failed: { at: number; error: FairleadError } | undefined;

  constructor(options: IssuerOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** The address to send the browser to. ERR_UNAVAILABLE. */
  async begin(): Promise<{ url: string; flow: Flow }> {
    const { openId, config } = await this.#client();
    const flow = {
      state: openId.randomState(),
      nonce: openId.randomNonce(),
      verifier: openId.randomPKCECodeVerifier(),
    };
    const url = openId.buildAuthorizationUrl(config, {
      redirect_uri: this.#options.redirectUrl(),
      scope: this.#options.scope,
      state: flow.state,
      nonce: flow.nonce,
      code_challenge: await openId.calculatePKCECodeChallenge(flow.verifier),
      code_challenge_method: 'S256',
    });
    return { url: url.href, flow };
  }

  /**
   * Gives the code back for what the issuer says of the user: the claims of the ID token and, beside them, those that it keeps for
   * its userinfo endpoint. ERR_UNAUTHORIZED with a reason for the user; ERR_UNAVAILABLE.
   */
  async finish(query: string, flow: Flow, wanted: readonly string[]): Promise<Claims> {
    const { openId, config } = await this.#client();
    const came = new URL(this.#options.redirectUrl());
    came.search = query;
    try {
      const tokens = await openId.authorizationCodeGrant(config, came, {
        expectedState: flow.state,
        expectedNonce: flow.nonce,
        pkceCodeVerifier: flow.verifier,
      });
      const claims = tokens.claims();
      if (!claims || tokens.id_token === undefined) throw refused('the issuer sent no ID token');
      await this.#checkAlgorithm(tokens.id_token);
      const missing = wanted.some((name) => !hasClaim(claims, name));
      if (!missing || config.serverMetadata().userinfo_endpoint === undefined) return claims;
      const told = await openId.fetchUserInfo(config, tokens.access_token, claims.sub);
      return { ...told, ...claims };
    } catch (error) {
      throw this.#reason(error, openId);
    }
  }

  /** Where the user also ends the issuer's own session, if it has such a page and its metadata are known. */
  endSessionUrl(): string | undefined {
    if (!this.#ready) return undefined;
    const { openId, config } = this.#ready;
    return config.serverMetadata().end_session_endpoint === undefined
      ? undefined
      : openId.buildEndSessionUrl(config).href;
  }

  /** What the issuer's log-out token ends. ERR_BAD_FRAME when it is not valid; ERR_UNAVAILABLE. */
  async readLogOut(token: string): Promise<IssuerLogOut> {
    const { issuer, clientId, algorithms, clockSkewMs } = this.#options;
    return readLogOutToken(token, {
      issuer,
      clientId,
      algorithms,
      clockSkewMs,
      keys: await this.#keySet(),
      now: this.#now,
    });
  }

  /** Asked for anew where a key is unknown, at most twice a minute: whoever makes up keys makes no more requests. */
  async #keySet(): Promise<JWTVerifyGetKey> {
    const { config } = await this.#client();
    const { jwks_uri: url } = config.serverMetadata();
    if (url === undefined) throw new FairleadError('ERR_UNAVAILABLE', 'the issuer tells no keys');
    if (this.#keys?.url === url) return this.#keys.set;
    const { createRemoteJWKSet, customFetch } = await import('jose');
    const timeoutDuration = TIMEOUT_S * 1_000;
    const set = createRemoteJWKSet(new URL(url), { timeoutDuration, [customFetch]: this.#fetch as typeof fetch });
    this.#keys = { url, set };
    return set;
  }

  /** Through the proxy of the environment, and bounded. */
  readonly #fetch = async (url: string, init: object): Promise<Response> => {
    const { fetch, Agent } = undici();
    const options = { maxResponseSize: MAX_RESPONSE_BYTES };
    const proxy = proxyFor(new URL(url), this.#options.proxies);
    const dispatcher = proxy === undefined ? new Agent(options) : createProxyAgent(proxy, options);
    try {
      const answer = await fetch(url, { ...init, dispatcher });
      // Read whole here, so that the connection can end with the request: an issuer is asked a few times an hour.
      const body = await answer.arrayBuffer();
      return new Response(answer.status === 204 ? null : body, {
        status: answer.status,
        headers: [...answer.headers],
      });
    } finally {
      void dispatcher.close();
    }
  };

  async #client(): Promise<Ready> {
    const now = this.#now();
    if (!this.#ready) {
      // Many users who come at once ask the issuer once.
      if (this.#failed && now - this.#failed.at < RETRY_MS) throw this.#failed.error;
      return this.#ask();
    }
    // Old metadata are better than none: what fails here was well before.
    if (now - this.#ready.at > METADATA_MS) this.#ask().catch(() => (this.#ready!.at = now - METADATA_MS + 60_000));
    return this.#ready;
  }

  #ask(): Promise<Ready> {
    this.#asking ??= this.#discover()
      .then(
        (ready) => (this.#ready = ready),
        (cause: unknown) => {
          const error = new FairleadError('ERR_UNAVAILABLE', `the issuer does not answer (${textOf(cause)})`, {
            cause,
          });
          this.#failed = { at: this.#now(), error };
          throw error;
        },
      )
      .finally(() => (this.#asking = undefined));
    return this.#asking;
  }

  async #discover(): Promise<Ready> {
    const openId = await import('openid-client');
    const { issuer, clientId, clientSecret, clockSkewMs } = this.#options;
    const execute = [openId.enableNonRepudiationChecks];
    // The configuration takes http on loopback alone.
    if (issuer.startsWith('http:')) execute.push(openId.allowInsecureRequests);
    const config = await openId.discovery(
      new URL(issuer),
      clientId,
      { [openId.clockTolerance]: clockSkewMs / 1_000, ...(clientSecret !== '' && { client_secret: clientSecret }) },
      clientSecret === '' ? openId.None() : secretAuth(openId, clientSecret),
      { execute, timeout: TIMEOUT_S, [openId.customFetch]: this.#fetch },
    );
    return { openId, config, at: this.#now() };
  }

  async #checkAlgorithm(idToken: string): Promise<void> {
    const { decodeProtectedHeader } = await import('jose');
    const { alg = '' } = decodeProtectedHeader(idToken);
    if (!this.#options.algorithms.includes(alg)) throw refused('the ID token is signed by another algorithm');
  }

  #reason(error: unknown, openId: typeof OpenId): FairleadError {
    if (error instanceof FairleadError) return error;
    // The parameters of the address are anybody's: only the code's own words are shown.
    if (error instanceof openId.AuthorizationResponseError) return refused(`the issuer says ${codeWord(error.error)}`);
    if (error instanceof openId.ResponseBodyError)
      return refused(`the issuer refuses the code (${codeWord(error.error)})`);
    if (error instanceof openId.ClientError && !isNetwork(error))
      return refused(`its answer is not valid (${error.code})`);
    return new FairleadError('ERR_UNAVAILABLE', `the issuer does not answer (${textOf(error)})`, { cause: error });
  }
}

/** A path into a claim begins with the claim's name. */
function hasClaim(claims: object, name: string): boolean {
  return Object.hasOwn(claims, name) || Object.hasOwn(claims, name.split('.')[0] ?? '');
}

/** As the issuer takes it; what says nothing takes the header (OpenID Connect Discovery 1.0, section 3). */
function secretAuth(openId: typeof OpenId, secret: string): OpenId.ClientAuth {
  const [inHeader, inBody] = [openId.ClientSecretBasic(secret), openId.ClientSecretPost(secret)];
  return (server, client, body, headers) => {
    const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
    const auth = methods.includes('client_secret_basic') ? inHeader : inBody;
    return auth(server, client, body, headers);
  };
}

function refused(message: string): FairleadError {
  return new FairleadError('ERR_UNAUTHORIZED', message);
}

/** OAuth's error codes are words; others are not repeated. */
function codeWord(code: string): string {
  return /^[\w.-]{1,64}$/.test(code) ? code : 'no';
}

function isNetwork(error: Error & { code?: string }): boolean {
  return error.code === 'OAUTH_TIMEOUT' || (error.cause instanceof TypeError && error.cause.message === 'fetch failed');
}

function textOf(error: unknown): string {
  for (let depth = 0, at: unknown = error; depth < 5 && at instanceof Error; depth++, at = at.cause) {
    const { code } = at as { code?: unknown };
    if (typeof code === 'string') return code;
  }
  return error instanceof Error ? error.name : 'unknown';
}
