/** What the threads ask of each other about logins: all of a user's are kept by one agent thread. Types only. */
import type { OAuthIdentity } from '../../../src/shared/oauth-identity.js';

interface At {
  user: string;
  server: string;
}

/** A token and how long it may be used without asking again; no token: the server is asked without, and says what it wants. */
export interface TokenLease {
  token?: string;
  /** ms since the epoch. */
  until: number;
}

/** `refused`: the server has refused this token, so another one is wanted; none can be had: no token. */
export type TokenRequest = At & { refused?: string };

export interface LoginRequest extends At {
  /** As the server's challenge said. */
  scope?: string;
  resourceMetadataUrl?: string;
  /** The token has too few scopes: what it has is asked for as well. */
  stepUp?: boolean;
  /** No request was refused: the server is asked what it wants. */
  unasked?: boolean;
}

export interface LoginStarted {
  /** Names the flow in this process; no secret. */
  flow: string;
  /** Where the person goes. */
  url: string;
  issuer: string;
  /** ms since the epoch. */
  endsAt: number;
}

export type LoginEnd = { ok: true } | { ok: false; message: string };

/** The person's browser has come back, with whatever is in the address. */
export interface Callback {
  state: string;
  code?: string;
  iss?: string;
  error?: string;
}

/** `of`: whose flow it was; absent when the state is none that we know. */
export type CallbackResult = LoginEnd & { of?: At };

/** Asked of the thread that keeps the user's logins. */
export type LoginRequests = {
  /** ERR_UNAVAILABLE when the authorization server does not answer; ERR_MCP when what is stored cannot be opened. */
  'mcp-token': { request: TokenRequest; result: TokenLease };
  /** ERR_MCP, ERR_UNAVAILABLE in words that say what to do. */
  'mcp-login': { request: LoginRequest & { identity: OAuthIdentity }; result: LoginStarted };
  /** Answers when the person has come back, or the flow's time is over. */
  'mcp-login-end': { request: At & { flow: string }; result: LoginEnd };
  /** Any thread can answer; the one that `state` leads to is the user's. */
  'mcp-callback': { request: Callback; result: CallbackResult };
  /** The login is forgotten here; `revoked`: by the authorization server as well. */
  'mcp-logout': { request: At; result: { revoked: boolean } };
};

/** Asked of the main thread, which knows the user's thread and our own address. */
export type LoginHostRequests = {
  'mcp-token': LoginRequests['mcp-token'];
  'mcp-login': { request: LoginRequest; result: LoginStarted };
  'mcp-login-end': LoginRequests['mcp-login-end'];
};

/** The same, as a session's thread calls it. */
export interface LoginHost {
  token(request: TokenRequest): Promise<TokenLease>;
  login(request: LoginRequest): Promise<LoginStarted>;
  loginEnd(request: At & { flow: string }): Promise<LoginEnd>;
}
