/** Finishes a login: exchanges the code for tokens. Also revokes a login's tokens. Agent threads. */
import {
  exchangeAuthorization,
  selectClientAuthMethod,
  validateAuthorizationResponseIssuer,
  type FetchLike,
} from '@modelcontextprotocol/client';
import { FairleadError } from '../../../../src/shared/errors.js';
import type { Callback } from '../../contract/logins.js';
import { issuerOf, resourceOf } from './discovery.js';
import { plainCode } from './failures.js';
import { newLogin, type FlowRecord, type LoginRecord } from './records.js';

/** ERR_MCP, and the SDK's errors. Checks the issuer before it trusts anything else in the callback (RFC 9207). */
export async function finishLogin(
  flow: FlowRecord,
  { code, iss, error }: Callback,
  fetch: FetchLike,
): Promise<LoginRecord> {
  const { discovery, client, verifier, redirectUrl, scope } = flow;
  const metadata = discovery.authorizationServerMetadata;
  if (code === undefined) {
    validateAuthorizationResponseIssuer({
      iss,
      expectedIssuer: metadata?.issuer,
      issParameterSupported: metadata?.authorization_response_iss_parameter_supported === true,
    });
    throw new FairleadError('ERR_MCP', `the authorization server says ${plainCode(error ?? 'nothing')}`);
  }
  const tokens = await exchangeAuthorization(discovery.authorizationServerUrl, {
    ...(metadata ? { metadata } : {}),
    clientInformation: client,
    authorizationCode: code,
    ...(iss === undefined ? {} : { iss }),
    codeVerifier: verifier,
    redirectUri: redirectUrl,
    ...resourceOf(discovery),
    fetchFn: fetch,
  });
  return newLogin({
    tokens: { ...tokens, issuer: issuerOf(discovery) },
    client,
    discovery,
    ...(scope === undefined ? {} : { scope }),
  });
}

/** RFC 7009. Resolves with whether the authorization server has revoked the tokens. Errors of the SDK and `fetch`. */
export async function revoke({ tokens, client, discovery }: LoginRecord, fetch: FetchLike): Promise<boolean> {
  const metadata = discovery.authorizationServerMetadata;
  const endpoint = metadata && 'revocation_endpoint' in metadata ? metadata.revocation_endpoint : undefined;
  if (typeof endpoint !== 'string' || !URL.canParse(endpoint)) return false;
  const method = selectClientAuthMethod(client, metadata?.token_endpoint_auth_methods_supported ?? []);
  const ends: [string, string][] = [['access_token', tokens.access_token]];
  // The refresh token first: with it the authorization server may revoke the access tokens too.
  if (tokens.refresh_token !== undefined) ends.unshift(['refresh_token', tokens.refresh_token]);
  let done = true;
  for (const [hint, token] of ends) {
    const body = new URLSearchParams({ token, token_type_hint: hint });
    const headers = new Headers({ 'Content-Type': 'application/x-www-form-urlencoded' });
    if (method === 'client_secret_basic')
      headers.set('Authorization', basic(client.client_id, client.client_secret ?? ''));
    else body.set('client_id', client.client_id);
    if (method === 'client_secret_post') body.set('client_secret', client.client_secret ?? '');
    const response = await fetch(endpoint, { method: 'POST', headers, body, redirect: 'manual' });
    await response.body?.cancel();
    done &&= response.ok;
  }
  return done;
}

/** In the SDK's encoding, which the token endpoint has accepted. */
function basic(id: string, secret: string): string {
  return `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
}
