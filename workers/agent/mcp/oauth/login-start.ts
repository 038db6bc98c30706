/** Starts a login: chooses our client and the scopes, and makes the address for the user. Agent threads. */
import {
  auth as runAuth,
  computeScopeUnion,
  isStrictScopeSuperset,
  type FetchLike,
  type OAuthDiscoveryState,
  type StoredOAuthClientInformation,
} from '@modelcontextprotocol/client';
import { FairleadError } from '../../../../src/shared/errors.js';
import type { OAuthIdentity } from '../../../../src/shared/oauth-identity.js';
import type { LoginRequest } from '../../contract/logins.js';
import { discover, issuerOf } from './discovery.js';
import { LoginProvider } from './login-provider.js';
import { clientName, KEPT_MS, type ClientRecord, type FlowRecord, type LoginRecord } from './records.js';
import type { Secrets } from './secrets.js';
import type { ServerAuth } from './server-auth.js';

export type OAuthServerAuth = Extract<ServerAuth, { type: 'oauth' }>;

export interface LoginStart {
  request: LoginRequest;
  identity: OAuthIdentity;
  auth: OAuthServerAuth;
  /** The user's present login; a step-up keeps its scopes. */
  login: LoginRecord | undefined;
  state: string;
  secrets: Secrets;
  fetch: FetchLike;
  /** Allows an authorization server at http. */
  allowLoopback: boolean;
}

/** ERR_MCP, and the SDK's errors. */
export async function startLogin(start: LoginStart): Promise<{ url: string; flow: Omit<FlowRecord, 'endsAt'> }> {
  const { request, identity, auth, state, fetch } = start;
  const { resourceMetadataUrl } = request;
  const discovery = await discover({ auth, resourceMetadataUrl, fetch });
  const scope = wantedScope(start);
  const client = await knownClient(start, discovery, scope);
  const provider = new LoginProvider({
    identity,
    state,
    discovery,
    ...(client ? { client } : {}),
    fixed: auth.clientId !== undefined,
    saveClient: (info) => keepClient(start, discovery, info, scope),
  });
  await runAuth(provider, {
    serverUrl: auth.url,
    ...(scope === undefined ? {} : { scope }),
    fetchFn: fetch,
    forceReauthorization: true,
  });
  const { result } = provider;
  if (!result) throw new FairleadError('ERR_MCP', 'the authorization server gave no address for the login');
  const { protocol, username } = result.url;
  if ((protocol !== 'https:' && !(protocol === 'http:' && start.allowLoopback)) || username !== '') {
    throw new FairleadError('ERR_MCP', 'the address of the login is not https');
  }
  const asked = result.url.searchParams.get('scope');
  return {
    url: result.url.href,
    flow: {
      user: request.user,
      server: request.server,
      verifier: result.verifier,
      redirectUrl: identity.redirectUrl,
      client: result.client,
      discovery,
      ...(asked === null ? {} : { scope: asked }),
    },
  };
}

/** ERR_MCP when the server wants more scopes than the configuration allows. */
function wantedScope({ request, auth, login }: LoginStart): string | undefined {
  if (auth.scopes) {
    const most = auth.scopes.join(' ');
    if (request.stepUp && isStrictScopeSuperset(request.scope, most)) {
      throw new FairleadError('ERR_MCP', 'the server wants scopes that auth.scopes of the configuration does not have');
    }
    return most;
  }
  if (!request.stepUp) return request.scope;
  const wanted = computeScopeUnion(login?.tokens.scope ?? login?.scope, request.scope);
  if (login?.tokens.scope !== undefined && !isStrictScopeSuperset(wanted, login.tokens.scope)) {
    throw new FairleadError('ERR_MCP', 'the server wants scopes that the login has granted already');
  }
  return wanted;
}

async function knownClient(
  { auth, identity, request, secrets }: LoginStart,
  discovery: OAuthDiscoveryState,
  scope: string | undefined,
): Promise<StoredOAuthClientInformation | undefined> {
  if (auth.clientId !== undefined) {
    return {
      client_id: auth.clientId,
      ...(auth.clientSecret === undefined ? {} : { client_secret: auth.clientSecret }),
      ...(auth.issuer === undefined ? {} : { issuer: auth.issuer }),
    };
  }
  if (usesDocument(identity, discovery)) return undefined;
  const name = clientName({ issuer: issuerOf(discovery), server: request.server, ...identity });
  const kept = await secrets.read(name).catch((error: unknown) => {
    if (error instanceof FairleadError && error.code === 'ERR_MCP') return undefined; // sealed with another key: register anew
    throw error;
  });
  const client = kept?.value as ClientRecord | undefined;
  if (!client) return undefined;
  const endsAt = Number('client_secret_expires_at' in client.info ? client.info.client_secret_expires_at : 0);
  if (endsAt > 0 && endsAt * 1_000 < Date.now()) return undefined;
  // The authorization server may limit the client to the scopes of its registration.
  if (client.scope !== undefined && isStrictScopeSuperset(scope, client.scope)) return undefined;
  if (kept?.isOld) await secrets.write(name, client, { ifVersion: kept.version, ttlMs: KEPT_MS });
  return client.info;
}

async function keepClient(
  { identity, request, secrets }: LoginStart,
  discovery: OAuthDiscoveryState,
  info: StoredOAuthClientInformation,
  scope: string | undefined,
): Promise<void> {
  if (usesDocument(identity, discovery)) return;
  const name = clientName({ issuer: issuerOf(discovery), server: request.server, ...identity });
  const client: ClientRecord = { info, ...(scope === undefined ? {} : { scope }) };
  await secrets.write(name, client, { ttlMs: KEPT_MS });
}

function usesDocument(
  { clientMetadataUrl }: OAuthIdentity,
  { authorizationServerMetadata }: OAuthDiscoveryState,
): boolean {
  return clientMetadataUrl !== undefined && authorizationServerMetadata?.client_id_metadata_document_supported === true;
}
