/** What a server has said when it refused a request: 401, or 403 with a scope that is missing. Agent threads. */
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
  /** More scopes are wanted than the token has. */
  insufficient: boolean;
  scope?: string;
  resourceMetadataUrl?: string;
  /** The token that was refused; absent: there was none, or we do not know. */
  token?: string;
}

/** What the provider below throws: the transport must not wait for a person, as its request's time would run meanwhile. */
export class ChallengeError extends Error {
  readonly challenge: Challenge;

  constructor(challenge: Challenge) {
    super('the server wants an authorization');
    this.challenge = challenge;
  }
}

/** What the refused request carried: when its answer comes, the provider may have given out a newer one. */
const refusedTokens = new WeakMap<Response, string>();

/** To be called by the `fetch` under the transport, with an answer of 401. */
export function noteRefused(response: Response, sent: Headers): void {
  const token = /^Bearer (.+)$/.exec(sent.get('authorization') ?? '')?.[1];
  if (token !== undefined) refusedTokens.set(response, token);
}

/** `token` is asked at each request. A 401 comes out as ChallengeError, whoever catches it asks the AuthSource. */
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

/** What the server says to somebody without a token, for a login that no refused request has led to. `fetch` throws. */
export async function askChallenge(url: string, fetch: FetchLike): Promise<Challenge> {
  const response = await fetch(url, { headers: { Accept: 'application/json, text/event-stream' } });
  await response.body?.cancel();
  if (response.status !== 401) return { insufficient: false };
  const { scope, resourceMetadataUrl } = extractWWWAuthenticateParams(response);
  return challenge(false, scope, resourceMetadataUrl, undefined);
}

/** The challenge behind an error, however often it was wrapped. */
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
