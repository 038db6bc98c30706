/** Fairlead as an OAuth client: its addresses, its cookie and its client id metadata document. Main thread and agent threads; pure. */
import { createHash } from 'node:crypto';

export const CALLBACK_PATH = '/v1/mcp/oauth/callback';
/** Followed by a login's ticket: the page on which a user begins it. */
export const LOGIN_PATH = '/v1/mcp/oauth/login/';
export const DOCUMENT_PATH = '/v1/mcp/oauth/client.json';

export interface OAuthIdentity {
  /** Where the authorization server sends the user's browser with the code. */
  redirectUrl: string;
  /** Where a login begins, without its ticket. */
  loginUrl: string;
  /** The address of the document below, which is our client id where the authorization server supports that. https only. */
  clientMetadataUrl?: string;
}

/** `ownUrl`: the address that the server listens on, used without `mcp.publicUrl`. */
export function oauthIdentity(publicUrl: string | undefined, ownUrl: string): OAuthIdentity {
  const base = publicBase(publicUrl, ownUrl);
  return {
    redirectUrl: base + CALLBACK_PATH,
    loginUrl: base + LOGIN_PATH,
    ...(base.startsWith('https:') ? { clientMetadataUrl: base + DOCUMENT_PATH } : {}),
  };
}

/** Where users' browsers reach this server, without a slash at its end. */
export function publicBase(publicUrl: string | undefined, ownUrl: string): string {
  return (publicUrl ?? reachable(ownUrl)).replace(/\/+$/, '');
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

/**
 * The cookie that ties a browser to one login. With `__Host-` no other host or subdomain can set it; browsers take the prefix on
 * https alone, so on plain http, which is for one's own machine, the name goes without.
 */
export function loginCookieName(state: string, { redirectUrl }: Pick<OAuthIdentity, 'redirectUrl'>): string {
  const prefix = redirectUrl.startsWith('https:') ? '__Host-' : '';
  return `${prefix}fairlead-login-${createHash('sha256').update(state).digest('hex').slice(0, 16)}`;
}

/** A browser cannot open the address that means every interface, so it becomes localhost. */
function reachable(url: string): string {
  return url.replace(/^(https?:\/\/)(0\.0\.0\.0|\[::\])(?=[:/]|$)/, '$1localhost');
}
