/** A browser's login: what its cookie keeps. Main thread; pure. */
import { randomBytes } from 'node:crypto';

/** An issuer's word for who it is. */
export interface IssuerLogin {
  kind: 'issuer';
  issuer: string;
  /** The user as the issuer calls them, for its log-outs. */
  sub: string;
  /** The issuer's own session. */
  sid?: string;
  /** When the issuer said it, in seconds by its clock. */
  issuedAt: number;
}

/** The one-time link of the terminal. It is good as long as the token of the data folder is. */
export interface LinkLogin {
  kind: 'link';
  /** Tells that token from another, and nothing else about it. */
  token: string;
}

/** A token that was typed in. The login is good as long as the token is, and gives what the token gives. */
export interface TokenLogin {
  kind: 'token';
  /** Of the token: the cookie is sealed, and the configuration's lines say no more. */
  sha256: string;
}

export interface Login {
  /** No secret: without the key nobody makes a cookie of it. */
  id: string;
  user: string;
  groups: readonly string[];
  by: IssuerLogin | LinkLogin | TokenLogin;
  /** ms since the epoch, by the clock of the server where it began. */
  beganAt: number;
  /** ms since the epoch: it ends then, however much it is used. */
  endsAt: number;
}

export function newLoginId(): string {
  return randomBytes(12).toString('base64url');
}

/** An issuer's log-out: of one of its sessions or, without `sid`, of all of the user's that it had begun by then. */
export interface IssuerLogOut {
  issuer: string;
  sub?: string;
  sid?: string;
  /** Seconds, by the issuer's clock. */
  issuedAt: number;
}
