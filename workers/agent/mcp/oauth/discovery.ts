/** Discovers the authorization server of an MCP server by its metadata, and checks it before anything is sent there. Agent threads. */
import {
  checkResourceAllowed,
  discoverOAuthServerInfo,
  IssuerMismatchError,
  resourceUrlFromServerUrl,
  type FetchLike,
  type OAuthDiscoveryState,
} from '@modelcontextprotocol/client';
import { FairleadError } from '../../../../src/shared/errors.js';
import { sameIssuer, type ServerAuth } from './server-auth.js';

export interface DiscoverOptions {
  auth: Pick<ServerAuth, 'url'> & { issuer?: string | undefined };
  /** From the server's challenge. */
  resourceMetadataUrl?: string | undefined;
  fetch: FetchLike;
}

/** ERR_MCP when the server names a resource other than itself, or an issuer other than the configuration's. Else the SDK's errors. */
export async function discover({ auth, resourceMetadataUrl, fetch }: DiscoverOptions): Promise<OAuthDiscoveryState> {
  const found = await discoverOAuthServerInfo(auth.url, {
    fetchFn: fetch,
    skipIssuerMetadataValidation: true, // below: the SDK tolerates a slash at the end in one place alone
    ...(resourceMetadataUrl === undefined ? {} : { resourceMetadataUrl: new URL(resourceMetadataUrl) }),
  });
  const { resourceMetadata } = found;
  if (resourceMetadata) {
    if (!isResourceOf(auth.url, resourceMetadata.resource)) {
      throw new FairleadError('ERR_MCP', 'the server names a resource that is not its own address');
    }
  }
  const issuer = issuerOf(found);
  if (!sameIssuer(issuer, found.authorizationServerUrl)) {
    throw new IssuerMismatchError('metadata', found.authorizationServerUrl, issuer);
  }
  if (auth.issuer !== undefined && !sameIssuer(auth.issuer, issuer)) {
    throw new FairleadError('ERR_MCP', 'the server names another authorization server than auth.issuer');
  }
  return { ...found, ...(resourceMetadataUrl === undefined ? {} : { resourceMetadataUrl }) };
}

export function issuerOf({ authorizationServerMetadata, authorizationServerUrl }: OAuthDiscoveryState): string {
  return authorizationServerMetadata?.issuer ?? authorizationServerUrl;
}

/** Whether what was granted by this authorization server is meant for the MCP server at `url`. */
export function isFor({ resourceMetadata, authorizationServerUrl }: OAuthDiscoveryState, url: string): boolean {
  if (resourceMetadata) return isResourceOf(url, resourceMetadata.resource);
  // Without metadata the server's own origin is its authorization server.
  return new URL(authorizationServerUrl).origin === new URL(url).origin;
}

/** One slash at the end is tolerated, as with an issuer. */
function isResourceOf(url: string, resource: string): boolean {
  const configuredResource = new URL(resource);
  configuredResource.pathname = configuredResource.pathname.replace(/\/$/, '');
  return checkResourceAllowed({ requestedResource: resourceUrlFromServerUrl(url), configuredResource });
}

/** RFC 8707: exactly as the server publishes it. */
export function resourceOf({ resourceMetadata }: OAuthDiscoveryState): { resource: string } | Record<string, never> {
  return resourceMetadata ? { resource: resourceMetadata.resource } : {};
}
