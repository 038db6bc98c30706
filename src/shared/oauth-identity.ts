/** Fairlead as an OAuth client: its redirect URL and its client id metadata document. Main thread; pure. */

export const CALLBACK_PATH = '/v1/mcp/oauth/callback';
export const DOCUMENT_PATH = '/v1/mcp/oauth/client.json';

export interface OAuthIdentity {
  /** Where the authorization server sends the user's browser with the code. */
  redirectUrl: string;
  /** The address of the document below, which is our client id where the authorization server supports that. https only. */
  clientMetadataUrl?: string;
}

/** `ownUrl`: the address that the server listens on, used without `mcp.publicUrl`. */
export function oauthIdentity(publicUrl: string | undefined, ownUrl: string): OAuthIdentity {
  const base = (publicUrl ?? reachable(ownUrl)).replace(/\/+$/, '');
  return {
    redirectUrl: base + CALLBACK_PATH,
    ...(base.startsWith('https:') ? { clientMetadataUrl: base + DOCUMENT_PATH } : {}),
  };
}

/** The metadata that is the same for every authorization server, in a registration and in the document. */
export function clientMetadata(redirectUrl: string) {
  return {
    client_name: 'Fairlead',
    redirect_uris: [redirectUrl],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
  };
}

/** Client id metadata document (draft-ietf-oauth-client-id-metadata-document). It is public, so it holds no secret. */
export function clientDocument({ redirectUrl, clientMetadataUrl }: OAuthIdentity): object | undefined {
  if (clientMetadataUrl === undefined) return undefined;
  return {
    client_id: clientMetadataUrl,
    ...clientMetadata(redirectUrl),
    token_endpoint_auth_method: 'none',
    application_type: 'web',
  };
}

/** A browser cannot open the address that means every interface, so it becomes localhost. */
function reachable(url: string): string {
  return url.replace(/^(https?:\/\/)(0\.0\.0\.0|\[::\])(?=[:/]|$)/, '$1localhost');
}
