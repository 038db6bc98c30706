/** Errors of authorization servers as texts without secrets, which their responses may hold. Pure; agent threads. */
import {
  AuthorizationServerMismatchError,
  InsecureTokenEndpointError,
  IssuerMismatchError,
  OAuthError,
  OAuthErrorCode,
  RegistrationRejectedError,
} from '@modelcontextprotocol/client';
import { FairleadError, isFairleadError } from '../../../../src/shared/errors.js';
import { UnreadableAnswer } from './oauth-answers.js';

const MAX_CODE = 60;
const MAX_TEXT = 300;

const SPENT: ReadonlySet<string> = new Set([
  OAuthErrorCode.InvalidGrant,
  OAuthErrorCode.InvalidClient,
  OAuthErrorCode.UnauthorizedClient,
  OAuthErrorCode.InvalidScope,
  OAuthErrorCode.InvalidTarget,
]);
const PASSING: ReadonlySet<string> = new Set([OAuthErrorCode.ServerError, OAuthErrorCode.TemporarilyUnavailable]);

/** The refresh token or the code is no longer valid: the user must log in again. */
export function isSpent(error: unknown): boolean {
  return error instanceof OAuthError && SPENT.has(error.code);
}

/** ERR_MCP, or ERR_UNAVAILABLE where it may pass. */
export function authFailure(server: string, error: unknown): FairleadError {
  const failed = (code: 'ERR_MCP' | 'ERR_UNAVAILABLE', why: string): FairleadError =>
    // Without a cause: a log would print the authorization server's response.
    new FairleadError(code, `the login to ${server} failed: ${why}`, code === 'ERR_MCP' ? {} : { retryAfterMs: 5_000 });
  if (isFairleadError(error)) {
    if (error.code === 'ERR_CANCELLED') return error;
    return failed(error.code === 'ERR_UNAVAILABLE' ? 'ERR_UNAVAILABLE' : 'ERR_MCP', error.message);
  }
  if (error instanceof IssuerMismatchError || error instanceof AuthorizationServerMismatchError) {
    return failed('ERR_MCP', 'the authorization server is not the one that it says it is (issuer)');
  }
  if (error instanceof InsecureTokenEndpointError) return failed('ERR_MCP', 'its token endpoint is not https');
  if (error instanceof RegistrationRejectedError) {
    const hint = 'set auth.clientId in the configuration to a client that you have registered there';
    return failed('ERR_MCP', `the authorization server does not register us (HTTP ${error.status}): ${hint}`);
  }
  if (error instanceof OAuthError) {
    if (PASSING.has(error.code)) {
      return failed('ERR_UNAVAILABLE', 'the authorization server cannot answer now');
    }
    return failed('ERR_MCP', `the authorization server says ${plainCode(error.code)}`);
  }
  // A parser's message quotes what it parsed.
  if (error instanceof SyntaxError || (error instanceof Error && error.name === 'ZodError')) {
    return failed('ERR_MCP', 'the authorization server’s response does not follow the protocol');
  }
  if (error instanceof UnreadableAnswer) return failed('ERR_MCP', error.message);
  if (error instanceof TypeError) return failed('ERR_UNAVAILABLE', 'the authorization server cannot be reached');
  return failed('ERR_MCP', error instanceof Error ? plain(error.message) : 'an unknown error');
}

/** The authorization server's error code, shortened and in printable characters. */
export function plainCode(code: string): string {
  return plain(code).slice(0, MAX_CODE);
}

function plain(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, MAX_TEXT);
}
