/** The source of tokens for `url` servers, as connections use it. Agent threads. */
import type { AuthProvider, OAuthClientProvider } from '@modelcontextprotocol/client';
import type { UrlServerConfig } from '../../../../src/shared/config-mcp.js';
import { FairleadError } from '../../../../src/shared/errors.js';
import type { Caller, ServerAsks } from '../host/server-connection.js';

export interface ServerCredentials {
  /** Equal keys share connections. A user's name, or '' where all users are alike. */
  key: string;
  /** The same object each time for a key and server. */
  provider: AuthProvider | OAuthClientProvider;
}

/** A refused request: 401, or 403 with a missing scope. */
export interface AuthNeed {
  caller: Caller;
  server: string;
  /** By which the server was asked; the configuration may have another by now. */
  config: UrlServerConfig;
  /** The transport's: UnauthorizedError, InsufficientScopeError, SdkHttpError, or the provider's error. */
  error: unknown;
  /**
   * How often this call has been refused, from 1. The connection repeats it for as long as `whenUnauthorized` resolves: a
   * few times at most (a renewed token, then a login, then wider scopes).
   */
  round: number;
  /** The refused call's. Absent: there is nobody to ask, as for a catalogue or a probe. */
  asks?: ServerAsks;
  signal: AbortSignal;
}

export interface AuthSource {
  /** Undefined: the server gets only the headers of its configuration. Called for each request, so it must be cheap. */
  credentialsFor(caller: Caller, server: string, config: UrlServerConfig): Promise<ServerCredentials | undefined>;
  /**
   * Resolves when the request is worth repeating: after a login or a renewed token. Rejects with the caller's error:
   * ERR_CANCELLED, or ERR_MCP that says what to do.
   */
  whenUnauthorized(need: AuthNeed): Promise<void>;
}

/** Only the headers of the configuration. */
export const NO_AUTH: AuthSource = {
  credentialsFor: async () => undefined,
  whenUnauthorized: ({ server, error }) => Promise.reject(credentialsRefused(server, error)),
};

export function credentialsRefused(server: string, cause: unknown): FairleadError {
  const text = `${server} refuses our credentials: check its headers and auth in the configuration, or log in with «fairlead mcp login ${server}»`;
  return new FairleadError('ERR_MCP', text, { cause });
}
