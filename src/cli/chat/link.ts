/** A WebSocket that reconnects: notices a dead peer, retries with backoff, and ends with an error when a retry is useless. Command line's process. */
import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { backoffMs } from '../../shared/backoff.js';
import { FairleadError } from '../../shared/errors.js';
import { CLOSE, PROTOCOL } from '../../shared/protocol.js';
import { cutWords, tlsWords } from '../tls-words.js';

const HANDSHAKE_MS = 10_000;
/** Longest wait from the open socket to `session:ready`. */
const READY_MS = 15_000;
/** Ping interval; a peer that is silent from one ping to the next is dead. */
const HEARTBEAT_MS = 25_000;
const CLOSE_MS = 1_000;
/** After a connection of this length the backoff starts over. */
const STABLE_MS = 5_000;
const MAX_FRAME_BYTES = 64 * 1024 * 1024;

export interface LinkOptions {
  /** Called for every attempt, since the session and the last seq change. */
  address: () => string;
  token?: string | undefined;
  /** Throws where the token must not be sent; called before each connection. */
  guard?: (() => void) | undefined;
  /** Ends with ERR_UNAVAILABLE after this time without a connection. */
  giveUpMs: number;
  /** ms before the attempt after `failures` failures in a row; full jitter by default. */
  backoff?: ((failures: number) => number) | undefined;
}

export interface LinkEvents {
  frame: [text: string];
  retry: [{ delayMs: number; why: string }];
  /** The last event; without an error after close(). */
  end: [error: FairleadError | undefined];
}

interface Loss {
  code: number;
  /** Status of a refused upgrade, else 0. */
  refusedWith: number;
  /** The error's code or the close frame's reason. */
  why: string;
  /** Why TLS came to no connection, in words: a matter of the address or of trust, not of a server that is away. */
  tls?: string | undefined;
}

export class Link extends EventEmitter<LinkEvents> {
  readonly #options: LinkOptions;
  #socket: WebSocket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #readyAt = 0;
  #everReady = false;
  #tryingSince = Date.now();
  #ended = false;

  constructor(options: LinkOptions) {
    super();
    this.#options = options;
  }

  connect(): void {
    const { token, guard } = this.#options;
    try {
      guard?.();
    } catch (error) {
      if (error instanceof FairleadError) return this.#end(error);
      throw error;
    }
    const socket = new WebSocket(this.#options.address(), [PROTOCOL], {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      handshakeTimeout: HANDSHAKE_MS,
      maxPayload: MAX_FRAME_BYTES,
      perMessageDeflate: false,
    });
    this.#socket = socket;
    this.#readyAt = 0;
    let why = '';
    let tls: string | undefined;
    let refusedWith = 0;
    socket.on('open', () => this.#watch(socket));
    socket.on('message', (data: Buffer, isBinary) => {
      if (!isBinary && this.#socket === socket) this.emit('frame', data.toString('utf8'));
    });
    socket.on('unexpected-response', (_request, response: IncomingMessage) => {
      refusedWith = response.statusCode ?? 0;
      // With this listener ws leaves the request to us; terminate() brings the close event.
      socket.terminate();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      why = error.code ?? error.message;
      tls = tlsWords(error) ?? cutWords(error, socket.url);
    });
    socket.on('close', (code, reason) => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.#lost({ code, refusedWith, why: why || reason.toString('utf8'), tls });
    });
  }

  /** Call it when the session has answered: the connection counts as good from here on. */
  ready(): void {
    this.#readyAt = Date.now();
    this.#everReady = true;
  }

  /** False without a connection: the caller sends again what must not be lost. */
  send(text: string): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(text);
    return true;
  }

  /** Drops the connection and gets a new one. */
  renew(): void {
    this.#socket?.terminate();
  }

  close(): void {
    if (this.#ended) return;
    const socket = this.#socket;
    this.#end(undefined);
    if (socket === undefined) return;
    socket.close(1000);
    const timer = setTimeout(() => socket.terminate(), CLOSE_MS);
    socket.once('close', () => clearTimeout(timer));
  }

  #watch(socket: WebSocket): void {
    let heard = true;
    const hear = () => {
      heard = true;
    };
    socket.on('message', hear);
    socket.on('ping', hear);
    socket.on('pong', hear);
    const noReady = setTimeout(() => {
      if (this.#readyAt === 0) socket.terminate();
    }, READY_MS);
    const heartbeat = setInterval(() => {
      if (!heard) return socket.terminate();
      heard = false;
      return socket.ping();
    }, HEARTBEAT_MS);
    socket.once('close', () => {
      clearTimeout(noReady);
      clearInterval(heartbeat);
    });
  }

  #lost({ code, refusedWith, why, tls }: Loss): void {
    const error =
      verdict({ code, refusedWith, why }) ?? (this.#everReady ? undefined : neverReached({ code, why, tls }));
    if (error !== undefined) return this.#end(error);
    const now = Date.now();
    if (this.#readyAt > 0) this.#tryingSince = now;
    if (this.#readyAt > 0 && now - this.#readyAt >= STABLE_MS) this.#failures = 0;
    if (now - this.#tryingSince > this.#options.giveUpMs) {
      return this.#end(
        new FairleadError('ERR_UNAVAILABLE', `the server does not come back (${tls ?? (why || `close ${code}`)})`),
      );
    }
    const delayMs = (this.#options.backoff ?? fullJitter)(this.#failures);
    this.#failures += 1;
    this.#timer = setTimeout(() => this.connect(), delayMs);
    this.emit('retry', { delayMs, why: tls ?? (why || explainClose(code)) });
    return undefined;
  }

  #end(error: FairleadError | undefined): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#socket = undefined;
    this.emit('end', error);
  }
}

/** 0.1 s to 15 s. The full jitter spreads clients that lost the same server. */
function fullJitter(failures: number): number {
  return 100 + backoffMs(failures + 1, { firstMs: 200, maxMs: 7_500, jitter: 1 });
}

/** The error when a reconnect is useless after this close or refused upgrade; undefined when it may help. */
function verdict({ code, refusedWith, why }: Loss): FairleadError | undefined {
  switch (code) {
    case CLOSE.unauthorized:
      return new FairleadError(
        'ERR_UNAUTHORIZED',
        'the server does not accept this token, or needs one: set --token or FAIRLEAD_TOKEN; the operator makes one with `fairlead token NAME`. Without auth.tokens it takes the token in its data folder (FAIRLEAD_DATA)',
      );
    case CLOSE.noSuchSession:
      return new FairleadError(
        'ERR_NO_SUCH_SESSION',
        'no such session for this user: it has expired, was deleted or belongs to another user; leave --session out to start a new one',
      );
    case CLOSE.ended:
      return new FairleadError(
        'ERR_UNAVAILABLE',
        `${why || 'an administrator has closed this'}: come back with --session`,
      );
    case CLOSE.notThisProtocol:
      return new FairleadError('ERR_BAD_FRAME', `the server does not take this: ${why || `no ${PROTOCOL}`}`);
    default:
  }
  if (refusedWith === 0 || refusedWith === 429 || refusedWith >= 500) return undefined;
  return refusedWith === 403
    ? new FairleadError('ERR_FORBIDDEN_ORIGIN', 'the server, or a proxy in front of it, refuses this client (403)')
    : new FairleadError('ERR_NOT_FOUND', `no Fairlead server at that address (it answers ${refusedWith})`);
}

/** A first connect without an answer is a wrong address or a server that is not started: an error, not a retry. */
function neverReached({ code, why, tls }: Pick<Loss, 'code' | 'why' | 'tls'>): FairleadError | undefined {
  if (code === CLOSE.overloaded || code === CLOSE.draining) return undefined;
  if (tls !== undefined) return new FairleadError('ERR_UNAVAILABLE', tls);
  return new FairleadError(
    'ERR_UNAVAILABLE',
    `no server answers there (${why || explainClose(code)}): start one with \`fairlead serve\`, or give its address: fairlead chat URL`,
  );
}

function explainClose(code: number): string {
  if (code === CLOSE.draining) return 'the server is stopping';
  if (code === CLOSE.overloaded) return 'the server is overloaded';
  if (code === CLOSE.slowReader) return 'this terminal read too slowly';
  return code === 1006 ? 'connection lost' : `closed with ${code}`;
}
