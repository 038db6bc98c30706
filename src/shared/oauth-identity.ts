/** Who Fairlead is to authorization servers: its way back, and its client id metadata document. Main thread; pure. */

export const CALLBACK_PATH = '/v1/mcp/oauth/callback';
export const DOCUMENT_PATH = '/v1/mcp/oauth/client.json';

export interface OAuthIdentity {
  /** Where the person's browser is sent with the code. */
  redirectUrl: string;
  /** The document below: our client id where an authorization server takes one; only https is of any use to it. */
  clientMetadataUrl?: string;
}

/** `ownUrl`: the address that the server listens on, for when the configuration has no `mcp.publicUrl`. */
export function oauthIdentity(publicUrl: string | undefined, ownUrl: string): OAuthIdentity {
  const base = (publicUrl ?? reachable(ownUrl)).replace(/\/+$/, '');
  return {
    redirectUrl: base + CALLBACK_PATH,
    ...(base.startsWith('https:') ? { clientMetadataUrl: base + DOCUMENT_PATH } : {}),
  };
}

/** What does not depend on the authorization server; the same in a registration and in the document. */
export function clientMetadata(redirectUrl: string) {
  return {
    client_name: 'Fairlead',
    redirect_uris: [redirectUrl],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
  };
}

/** Client id metadata document (draft-ietf-oauth-client-id-metadata-document): anybody may read it, so it holds no secret. */
export function clientDocument({ redirectUrl, clientMetadataUrl }: OAuthIdentity): object | undefined {
  if (clientMetadataUrl === undefined) return undefined;
  return {
    client_id: clientMetadataUrl,
    ...clientMetadata(redirectUrl),
    token_endpoint_auth_method: 'none',
    application_type: 'web',
  };
}

/** An address to listen on is none to go to: every interface means this machine. */
function reachable(url: string): string {
  return url.replace(/^(https?:\/\/)(0\.0\.0\.0|\[::\])(?=[:/]|$)/, '$1localhost');
}
