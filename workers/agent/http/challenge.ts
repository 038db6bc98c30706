/** The challenge in a server's refusal: 401, or 403 with a missing scope. Agent threads. */
import {
  extractWWWAuthenticateParams,
  InsufficientScopeError,
  type AuthProvider,
  type FetchLike,
} from '@modelcontextprotocol/client';
import { causes } from './causes.js';

const MAX_SCOPE = 2_000;

type UnauthorizedContext = Parameters<NonNullable<AuthProvider['onUnauthorized']>>[0];

export interface Challenge {
  /** The token lacks scopes. */
  insufficient: boolean;
  scope?: string;
  resourceMetadataUrl?: string;
  /** The refused token; absent when there was none, or it is unknown. */
  token?: string;
}

/** Thrown by the provider below. The transport must not wait for the user: its request would time out meanwhile. */
export class ChallengeError extends Error {
  readonly challenge: Challenge;

  constructor(challenge: Challenge) {
    super('the server wants authorization');
    this.challenge = challenge;
  }
}

/** The token of each refused request: when the response arrives, the provider may already hold a newer one. */
const refusedTokens = new WeakMap<Response, string>();

/** The `fetch` below the transport calls this with each 401 response. */
export function noteRefused(response: Response, sent: Headers): void {
  const token = /^Bearer (.+)$/.exec(sent.get('authorization') ?? '')?.[1];
  if (token !== undefined) refusedTokens.set(response, token);
}

/** Calls `token` for each request. A 401 becomes a ChallengeError; whoever catches it asks the AuthSource. */
export function challengingProvider(token: () => Promise<string | undefined>): AuthProvider {
  return {
    token,
    onUnauthorized: async ({ response }: UnauthorizedContext) => {
      await response.body?.cancel();
      const { scope, resourceMetadataUrl } = extractWWWAuthenticateParams(response);
      throw new ChallengeError(challenge(false, scope, resourceMetadataUrl, refusedTokens.get(response)));
    },
  };
}

/** Asks the server without a token, for a login that no refused request has led to. Throws what `fetch` throws. */
export async function askChallenge(url: string, fetch: FetchLike): Promise<Challenge> {
  const response = await fetch(url, { headers: { Accept: 'application/json, text/event-stream' } });
  await response.body?.cancel();
  if (response.status !== 401) return { insufficient: false };
  const { scope, resourceMetadataUrl } = extractWWWAuthenticateParams(response);
  return challenge(false, scope, resourceMetadataUrl, undefined);
}

/** The challenge behind an error, however often the error was wrapped. */
export function challengeOf(error: unknown): Challenge {
  for (const cause of causes(error)) {
    if (cause instanceof ChallengeError) return cause.challenge;
    if (cause instanceof InsufficientScopeError) {
      return challenge(true, cause.requiredScope, cause.resourceMetadataUrl, undefined);
    }
  }
  return { insufficient: false };
}

function challenge(
  insufficient: boolean,
  scope: string | undefined,
  metadata: URL | undefined,
  token: string | undefined,
): Challenge {
  return {
    insufficient,
    ...(scope === undefined || scope.length > MAX_SCOPE ? {} : { scope }),
    ...(metadata === undefined ? {} : { resourceMetadataUrl: metadata.href }),
    ...(token === undefined ? {} : { token }),
  };
}
