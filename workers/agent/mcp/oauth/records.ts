/** The stored records of logins and their names. Types and pure functions; agent threads. */
import type {
  OAuthDiscoveryState,
  StoredOAuthClientInformation,
  StoredOAuthTokens,
} from '@modelcontextprotocol/client';
import { createHash } from 'node:crypto';

/** The time that a user has to log in. */
export const FLOW_MS = 600_000;
/** A login that is unused for so long expires. */
export const KEPT_MS = 180 * 86_400_000;

/** A token counts as expired this much earlier: a request takes time to arrive. */
const MAX_SLACK_MS = 5_000;
const GOOD_LIFE = 0.9;
/** A token is renewed after this share of its life, minus a random part, so that many do not come at once. */
const USED_LIFE = 0.8;
const JITTER = 0.1;

/** One user's login at one server. */
export interface LoginRecord {
  tokens: StoredOAuthTokens;
  /** The client that the tokens were issued to. */
  client: StoredOAuthClientInformation;
  discovery: OAuthDiscoveryState;
  /** The requested scope. The granted one is in `tokens`, if the authorization server states it. */
  scope?: string;
  /** ms since the epoch. Absent: never before the server refuses the token. */
  renewAt?: number;
  expiresAt?: number;
  /** A server has claimed the renewal until then, ms since the epoch. */
  renewingUntil?: number;
}

/** Our registered client at an authorization server. */
export interface ClientRecord {
  info: StoredOAuthClientInformation;
  scope?: string;
}

/** A running login: the user is at the authorization server. */
export interface FlowRecord {
  user: string;
  server: string;
  verifier: string;
  redirectUrl: string;
  client: StoredOAuthClientInformation;
  discovery: OAuthDiscoveryState;
  scope?: string;
  endsAt: number;
  /** The hash of the cookie of the browser in which the user has begun. Absent before: nobody can come back. */
  browser?: string;
}

/** What the page needs on which a login begins. */
export interface PageRecord {
  user: string;
  server: string;
  issuer: string;
  state: string;
  /** At the authorization server. */
  url: string;
  endsAt: number;
}

/** The rest of a flow whose state has been used. */
export interface FlowOutcome {
  ok: boolean;
  /** For the user, on failure. */
  message?: string;
}

export type StoredFlow = { open: FlowRecord } | { used: true; outcome?: FlowOutcome };

/** The braces are a Redis hash tag: a user's records lie in one slot of a cluster. */
export function loginName(user: string, server: string): string {
  return `mcp-login:{${user}}:${server}`;
}

export function clientName({ issuer, server, redirectUrl }: { issuer: string; server: string; redirectUrl: string }) {
  return `mcp-client:{${server}}:${sha256(JSON.stringify([issuer, redirectUrl]))}`;
}

/** Only the state's hash is stored: reading the store does not let anybody finish a login. */
export function flowName(state: string): string {
  return `mcp-flow:{${sha256(state)}}`;
}

export function pageName(ticket: string): string {
  return `mcp-login-page:{${sha256(ticket)}}`;
}

export function browserHash(cookie: string): string {
  return sha256(cookie);
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
