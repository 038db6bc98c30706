/** Identifies the user by a bearer token of the configuration; without tokens everybody is `local`. Main thread. */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import type { Config } from '../shared/config.js';
import { PROTOCOL } from '../shared/protocol.js';

export const LOCAL_USER = 'local';
const BEARER = 'bearer.';

export interface AuthHeaders {
  authorization: string;
  /** The `Sec-WebSocket-Protocol` of an upgrade. */
  protocols?: string;
}

export class Auth {
  readonly #users = new Map<string, string>();
  readonly #key = randomBytes(32);

  constructor(auth: Config['auth']) {
    for (const { user, sha256 } of auth.tokens) this.#users.set(this.#blind(sha256), user);
  }

  get required(): boolean {
    return this.#users.size > 0;
  }

  /** The user's name; undefined without valid credentials. */
  userOf(credentials: AuthHeaders): string | undefined {
    if (!this.required) return LOCAL_USER;
    const token = tokenOf(credentials);
    if (token === undefined) return undefined;
    return this.#users.get(this.#blind(createHash('sha256').update(token).digest('hex')));
  }

  /**
   * Blinds the map's key with a secret of this process, so that the time of a look-up tells nothing about a token. Unlike a
   * constant-time comparison with each token, this costs the same for one token and for ten thousand.
   */
  #blind(sha256: string): string {
    return createHmac('sha256', this.#key).update(sha256).digest('base64');
  }
}

function tokenOf({ authorization, protocols = '' }: AuthHeaders): string | undefined {
  const header = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
  if (header !== undefined) return header;
  return offered(protocols)
    .find((protocol) => protocol.startsWith(BEARER))
    ?.slice(BEARER.length);
}

/**
 * The subprotocol to answer with; never the token. A browser that offered subprotocols fails the connection without an answer
 * (WHATWG WebSockets, "establish a WebSocket connection"), so a page must offer `fairlead.v1` beside `bearer.TOKEN`.
 */
export function answeredProtocol(protocols: string): string {
  return offered(protocols).includes(PROTOCOL) ? PROTOCOL : '';
}

function offered(protocols: string): string[] {
  return protocols.split(',').map((protocol) => protocol.trim());
}
