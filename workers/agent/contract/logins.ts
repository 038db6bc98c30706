/** Messages about logins at MCP servers: all logins of one user are kept by one agent thread. Types only. */
import type { OAuthIdentity } from '../../../src/shared/oauth-identity.js';
import type { UserServer } from './mcp.js';

export interface TokenRequest extends UserServer {
  /** Where the token will be sent. A login at another address gives none. */
  url: string;
  /** The token that the server has refused: another one is wanted. */
  refused?: string;
}

/** A token and how long it may be used without asking again. */
export interface TokenLease {
  /** Absent: the request is sent without a token, and the server says what it wants. */
  token?: string;
  /** ms since the epoch. */
  until: number;
}

export interface LoginRequest extends UserServer {
  /** From the server's challenge. */
  scope?: string;
  resourceMetadataUrl?: string;
  /** The token has too few scopes: the new login asks for those that it has as well. */
  stepUp?: boolean;
  /** No request was refused: the server is asked what it wants. */
  unasked?: boolean;
}

/** A login as the main thread passes it on. */
export interface IdentifiedLoginRequest extends LoginRequest {
  /** Our own address, to which the browser returns. */
  identity: OAuthIdentity;
}

export interface LoginStarted {
  /** Names the flow in this process; not a secret. */
  flow: string;
  /** The page of ours on which the user begins. */
  url: string;
  issuer: string;
  /** ms since the epoch. */
  endsAt: number;
}

export interface LoginEndRequest extends UserServer {
  flow: string;
}

export type LoginEnd = { ok: true } | { ok: false; message: string };

/** The query of the address with which the user's browser returns. */
export interface Callback {
  state: string;
  code?: string;
  iss?: string;
  error?: string;
  /** The login's cookie, if the browser has it. */
  browser?: string;
}

/** A login as the page shows it on which it begins. */
export interface LoginPage extends UserServer {
  issuer: string;
}

/** The user has begun, in this browser. */
export interface LoginBegun {
  /** Where they log in. */
  url: string;
  issuer: string;
  /** What the login's cookie is named by. */
  state: string;
  /** The cookie's value. */
  browser: string;
  /** How long the login is good for. */
  leftMs: number;
}

export type CallbackResult = LoginEnd & {
  /** Whose flow it was; absent when the state is unknown. */
  of?: UserServer;
};

export interface LogoutResult {
  /** The authorization server has revoked the tokens as well. */
  revoked: boolean;
}

/** Asked of the thread that keeps the user's logins. */
export type LoginRequests = {
  /** ERR_UNAVAILABLE when the authorization server does not answer; ERR_MCP when what is stored cannot be opened. */
  'mcp-token': { request: TokenRequest; result: TokenLease };
  /** ERR_MCP, ERR_UNAVAILABLE in words that say what to do. */
  'mcp-login': { request: IdentifiedLoginRequest; result: LoginStarted };
  /** Answers when the user has come back, or the flow's time is over. */
  'mcp-login-end': { request: LoginEndRequest; result: LoginEnd };
  /** Null: the ticket is unknown, or its time is over. The ticket leads to the user's thread. */
  'mcp-login-page': { request: { ticket: string }; result: LoginPage | null };
  /** Ties the login to a browser. Null as above. */
  'mcp-login-begin': { request: { ticket: string }; result: LoginBegun | null };
  /** Any thread can answer; the one that `state` leads to is the user's. */
  'mcp-callback': { request: Callback; result: CallbackResult };
  /** Forgets the login. */
  'mcp-logout': { request: UserServer; result: LogoutResult };
};

/** Asked of the main thread, which knows the user's thread and our own address. */
export type LoginHostRequests = {
  'mcp-token': { request: TokenRequest; result: TokenLease };
  'mcp-login': { request: LoginRequest; result: LoginStarted };
  'mcp-login-end': { request: LoginEndRequest; result: LoginEnd };
};

/** The same, as a session's thread calls it. */
export interface LoginHost {
  token(request: TokenRequest): Promise<TokenLease>;
  login(request: LoginRequest): Promise<LoginStarted>;
  loginEnd(request: LoginEndRequest): Promise<LoginEnd>;
}
