/** A server, and who asks: opens sessions, and lists, makes and deletes them over HTTP. */
import type { TranscriptEntry } from '../shared/protocol.js';
import { parseAddress, queryOf, type Address } from './address.js';
import { ClientError } from './client-error.js';
import { pageOrigin } from './page.js';
import { problemOf } from './problem.js';
import { Session, type SessionOptions } from './session.js';
import type { SocketConstructor } from './socket.js';
import { readToken, type Token } from './token.js';

const DEADLINE_MS = 30_000;

export interface FairleadOptions {
  /** The server's address, like `https://ai.example.org`. A page may leave it out: its own server. */
  url?: string | undefined;
  /** A page of the server itself needs none: its cookie comes along. */
  token?: Token;
  /** Default: the global one; in Node that of `ws`. */
  WebSocket?: SocketConstructor | undefined;
}

export interface SessionInfo {
  session: string;
  model: string;
  title: string;
  /** ms since the epoch. */
  createdAt: number;
  lastActiveAt: number;
  seq: number;
  turns: number;
}

export interface Page {
  limit?: number;
  /** `next` of the page before. */
  cursor?: string;
}

export class Fairlead {
  readonly #address: Address;
  readonly #token: Token;
  readonly #WebSocket: SocketConstructor;

  constructor({ url = pageOrigin(), token, WebSocket = globalSocket() }: FairleadOptions = {}) {
    this.#address = parseAddress(url ?? '');
    this.#token = token;
    if (WebSocket === undefined) throw new ClientError('ERR_CONFIG', 'no WebSocket here: give one as an option');
    this.#WebSocket = WebSocket;
  }

  /** Connects at once. Without `session` it is a new one. */
  open(options?: SessionOptions): Session {
    return new Session({ ws: this.#address.ws, token: this.#token, WebSocket: this.#WebSocket }, options);
  }

  /** The user's own, newest first. */
  listSessions({ limit, cursor }: Page = {}): Promise<{ sessions: SessionInfo[]; next?: string }> {
    return this.request('GET', `/v1/sessions${queryOf({ limit, cursor })}`);
  }

  createSession(
    options: { model?: string; image?: string } = {},
  ): Promise<{ session: string; model: string; image?: string }> {
    return this.request('POST', '/v1/sessions', options);
  }

  /** With its conversation and its files. */
  deleteSession(session: string): Promise<void> {
    return this.request('DELETE', pathOf(session));
  }

  /** A page of the transcript, the newest first. */
  history(
    session: string,
    { limit = 50, before }: { limit?: number; before?: string } = {},
  ): Promise<{ transcript: TranscriptEntry[]; first: number; next?: string }> {
    return this.request('GET', `${pathOf(session)}/history${queryOf({ limit, before })}`);
  }

  /** Any route of docs/protocol.md: JSON in and out. Throws a ClientError with the code of the answer. */
  async request<T>(method: string, path: string, body?: object): Promise<T> {
    let response = await this.#fetch(method, path, body, false);
    if (response.status === 401 && typeof this.#token === 'function') {
      response = await this.#fetch(method, path, body, true);
    }
    if (response.status === 204) return undefined as T;
    const answer: unknown = await response.json().catch(() => ({})); // a proxy's page
    if (response.ok) return answer as T;
    throw problemOf(response, answer);
  }

  async #fetch(method: string, path: string, body: object | undefined, refused: boolean): Promise<Response> {
    const token = await readToken(this.#token, refused);
    try {
      return await fetch(this.#address.http + path, {
        method,
        headers: {
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
          ...(body && { 'content-type': 'application/json' }),
        },
        ...(body && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(DEADLINE_MS),
      });
    } catch (cause) {
      throw new ClientError('ERR_UNAVAILABLE', `${method} ${path} got no answer`, { cause });
    }
  }
}

function globalSocket(): SocketConstructor | undefined {
  return (globalThis as { WebSocket?: SocketConstructor }).WebSocket;
}

function pathOf(session: string): string {
  return `/v1/sessions/${encodeURIComponent(session)}`;
}
