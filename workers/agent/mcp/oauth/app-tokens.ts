/** Fairlead's own tokens, by the client credentials grant; each thread keeps its own in memory. Agent threads. */
import {
  createPrivateKeyJwtAuth,
  fetchToken,
  type AddClientAuthentication,
  type FetchLike,
  type OAuthClientProvider,
} from '@modelcontextprotocol/client';
import type { TokenLease } from '../../contract/logins.js';
import { discover, issuerOf, resourceOf } from './discovery.js';
import { authFailure } from './failures.js';
import type { ServerAuth } from './server-auth.js';

type CredentialsAuth = Extract<ServerAuth, { type: 'client_credentials' }>;

/** A token without an expiry is renewed after this. */
const DEFAULT_LIFE_MS = 300_000;
const USED_LIFE = 0.8;
const JITTER = 0.1;

/** Requests a new token. ERR_MCP, ERR_UNAVAILABLE. */
export async function appToken(
  server: string,
  auth: CredentialsAuth,
  { fetch, scope, resourceMetadataUrl }: { fetch: FetchLike; scope?: string; resourceMetadataUrl?: string },
): Promise<TokenLease> {
  try {
    const discovery = await discover({ auth, resourceMetadataUrl, fetch });
    const { authorizationServerMetadata: metadata, resourceMetadata, authorizationServerUrl } = discovery;
    const wanted = auth.scopes?.join(' ') ?? scope ?? resourceMetadata?.scopes_supported?.join(' ');
    const tokens = await fetchToken(providerOf(auth, issuerOf(discovery)), authorizationServerUrl, {
      ...(metadata ? { metadata } : {}),
      ...resourceOf(discovery),
      ...(wanted === undefined ? {} : { scope: wanted }),
      fetchFn: fetch,
    });
    const lifeMs = tokens.expires_in === undefined ? DEFAULT_LIFE_MS : tokens.expires_in * 1_000;
    return { token: tokens.access_token, until: Date.now() + lifeMs * (USED_LIFE - JITTER * Math.random()) };
  } catch (error) {
    throw authFailure(server, error);
  }
}

function noUser(): never {
  throw new Error('no user takes part in this grant');
}

function providerOf({ clientId, clientSecret, privateKey, algorithm }: CredentialsAuth, issuer: string) {
  const signed: AddClientAuthentication | undefined =
    privateKey === undefined
      ? undefined
      : createPrivateKeyJwtAuth({ issuer: clientId, subject: clientId, privateKey, alg: algorithm });
  const provider: OAuthClientProvider = {
    redirectUrl: undefined,
    clientMetadata: { client_name: 'Fairlead', redirect_uris: [], grant_types: ['client_credentials'] },
    clientInformation: () => ({
      client_id: clientId,
      ...(clientSecret === undefined ? {} : { client_secret: clientSecret }),
      issuer,
    }),
    tokens: () => undefined,
    saveTokens: noUser,
    redirectToAuthorization: noUser,
    saveCodeVerifier: noUser,
    codeVerifier: noUser,
    prepareTokenRequest: (scope) =>
      new URLSearchParams({ grant_type: 'client_credentials', ...(scope ? { scope } : {}) }),
    ...(signed ? { addClientAuthentication: signed } : {}),
  };
  return provider;
}
