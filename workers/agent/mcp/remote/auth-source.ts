/** Where the tokens for a `url` server come from: what the connections ask of whoever does the authorization. Agent threads. */
import type { AuthProvider, OAuthClientProvider } from '@modelcontextprotocol/client';
import { FairleadError } from '../../../../src/shared/errors.js';
import type { Caller, ServerAsks } from '../host/server-connection.js';

export interface ServerCredentials {
  /** Whose they are: connections are shared by those with the same key alone. A user's name, or '' for all alike. */
  key: string;
  /** Made once for a key and server: the same object each time. */
  provider: AuthProvider | OAuthClientProvider;
}

/** A server has refused a request for want of authorization: 401, or 403 with a scope that is missing. */
export interface AuthNeed {
  caller: Caller;
  server: string;
  /** Of the transport: UnauthorizedError, InsufficientScopeError, SdkHttpError, or what the provider threw. */
  error: unknown;
  /**
   * How often this very call has been refused, from 1. The connection asks again for as long as `whenUnauthorized` resolves,
   * which it does a few times at most (a renewed token, then a login, then wider scopes) and then rejects.
   */
  round: number;
  /** Of the call that was refused. Absent: there is nobody to ask (a catalogue, a probe). */
  asks?: ServerAsks;
  signal: AbortSignal;
}

export interface AuthSource {
  /** Undefined: this server gets the headers of its configuration and nothing else. Cheap: asked at each call. */
  credentialsFor(caller: Caller, server: string): Promise<ServerCredentials | undefined>;
  /**
   * Resolves when the request is worth making once more (the person has agreed, a token was renewed). Rejects with what
   * the caller is told: ERR_CANCELLED, or ERR_MCP that says what to do.
   */
  whenUnauthorized(need: AuthNeed): Promise<void>;
}

/** Headers of the configuration alone. */
export const NO_AUTH: AuthSource = {
  credentialsFor: async () => undefined,
  whenUnauthorized: ({ server, error }) => Promise.reject(credentialsRefused(server, error)),
};

/** In words that say what to do. */
export function credentialsRefused(server: string, cause: unknown): FairleadError {
  const text = `${server} refuses our credentials: check its headers and auth in the configuration, or log in with «fairlead mcp login ${server}»`;
  return new FairleadError('ERR_MCP', text, { cause });
}
