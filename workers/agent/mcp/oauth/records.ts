/** What is kept of a person's logins, and under which names. Types and pure parts; agent threads. */
import type {
  OAuthDiscoveryState,
  StoredOAuthClientInformation,
  StoredOAuthTokens,
} from '@modelcontextprotocol/client';
import { createHash } from 'node:crypto';

/** How long a person may take to log in. */
export const FLOW_MS = 600_000;
/** A login that nobody has used for so long is forgotten: the person logs in again. */
export const KEPT_MS = 180 * 86_400_000;

/** So much before its end a token is as good as over: it takes a while to get there. */
const MAX_SLACK_MS = 5_000;
const GOOD_LIFE = 0.9;
/** Renewed when this much of a token's life is over; a part of it by chance, so that many do not come at once. */
const USED_LIFE = 0.8;
const JITTER = 0.1;

/** Of one user at one server. */
export interface LoginRecord {
  tokens: StoredOAuthTokens;
  /** The client that they were given to, and where. */
  client: StoredOAuthClientInformation;
  discovery: OAuthDiscoveryState;
  /** What was asked for; what was granted is in the tokens where the authorization server says it. */
  scope?: string;
  /** ms since the epoch; absent: until the server refuses it. */
  renewAt?: number;
  expiresAt?: number;
  /** A server is renewing it, and will have come to an end by then. */
  renewingUntil?: number;
}

/** A client of ours at an authorization server. */
export interface ClientRecord {
  info: StoredOAuthClientInformation;
  scope?: string;
}

/** A person is away at the authorization server. */
export interface FlowRecord {
  user: string;
  server: string;
  verifier: string;
  redirectUrl: string;
  client: StoredOAuthClientInformation;
  discovery: OAuthDiscoveryState;
  scope?: string;
  endsAt: number;
}

/** What is left of a flow once its state has been used. */
export interface FlowOutcome {
  ok: boolean;
  /** For the person, when it is not. */
  message?: string;
}

export type StoredFlow = { open: FlowRecord } | { used: true; outcome?: FlowOutcome };

/** The user stands in braces: all that is a user's lies in one slot of a Redis cluster. */
export function loginName(user: string, server: string): string {
  return `mcp-login:{${user}}:${server}`;
}

export function clientName({ issuer, server, redirectUrl }: { issuer: string; server: string; redirectUrl: string }) {
  return `mcp-client:{${server}}:${sha256(JSON.stringify([issuer, redirectUrl]))}`;
}

/** The state itself is nowhere: who reads the store cannot finish somebody's login. */
export function flowName(state: string): string {
  return `mcp-flow:{${sha256(state)}}`;
}

type Granted = Pick<LoginRecord, 'tokens' | 'client' | 'discovery' | 'scope'>;

export function newLogin({ tokens, client, discovery, scope }: Granted, now = Date.now()): LoginRecord {
  const login = { tokens, client, discovery, ...(scope === undefined ? {} : { scope }) };
  const lifeMs = (tokens.expires_in ?? 0) * 1_000;
  if (lifeMs <= 0) return login;
  const used = USED_LIFE - JITTER * Math.random();
  const renewAt = tokens.refresh_token === undefined ? {} : { renewAt: now + lifeMs * used };
  return { ...login, ...renewAt, expiresAt: now + lifeMs - Math.min(MAX_SLACK_MS, lifeMs * (1 - GOOD_LIFE)) };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
