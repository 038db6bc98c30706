/** Who may give tokens for a server: found out by the server's own metadata, checked before anything is told to anybody. Agent threads. */
import {
  checkResourceAllowed,
  discoverOAuthServerInfo,
  resourceUrlFromServerUrl,
  type FetchLike,
  type OAuthDiscoveryState,
} from '@modelcontextprotocol/client';
import { FairleadError } from '../../../../src/shared/errors.js';
import { sameIssuer, type ServerAuth } from './server-auth.js';

export interface DiscoverOptions {
  auth: Pick<ServerAuth, 'url'> & { issuer?: string | undefined };
  /** Of the server's challenge. */
  resourceMetadataUrl?: string | undefined;
  fetch: FetchLike;
}

/** ERR_MCP where the server names another resource than itself, or another issuer than the configuration's. Else what the SDK throws. */
export async function discover({ auth, resourceMetadataUrl, fetch }: DiscoverOptions): Promise<OAuthDiscoveryState> {
  const found = await discoverOAuthServerInfo(auth.url, {
    fetchFn: fetch,
    ...(resourceMetadataUrl === undefined ? {} : { resourceMetadataUrl: new URL(resourceMetadataUrl) }),
  });
  const { resourceMetadata } = found;
  if (resourceMetadata) {
    const requestedResource = resourceUrlFromServerUrl(auth.url);
    if (!checkResourceAllowed({ requestedResource, configuredResource: resourceMetadata.resource })) {
      throw new FairleadError('ERR_MCP', 'the server names a resource that is not its own address');
    }
  }
  const issuer = issuerOf(found);
  if (auth.issuer !== undefined && !sameIssuer(auth.issuer, issuer)) {
    throw new FairleadError('ERR_MCP', 'the server names another authorization server than auth.issuer');
  }
  return { ...found, ...(resourceMetadataUrl === undefined ? {} : { resourceMetadataUrl }) };
}

export function issuerOf({ authorizationServerMetadata, authorizationServerUrl }: OAuthDiscoveryState): string {
  return authorizationServerMetadata?.issuer ?? authorizationServerUrl;
}

/** RFC 8707: word for word as the server publishes it. */
export function resourceOf({ resourceMetadata }: OAuthDiscoveryState): { resource: string } | Record<string, never> {
  return resourceMetadata ? { resource: resourceMetadata.resource } : {};
}
