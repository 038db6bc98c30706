/** One WebSocket after another to the same session: notices a dead peer, waits, tries again, and ends where that is useless. */
import { PROTOCOL } from '../shared/protocol.js';
import type { ClientError } from './client-error.js';
import { isOffline, onWake } from './page.js';
import type { ConnectionEvent } from './session-event.js';
import { abandon, CLOSED_STATE, OPEN, type SocketConstructor, type SocketError, type SocketLike } from './socket.js';

/** After a connection of this length the backoff starts over. */
const STABLE_MS = 5_000;
const CLOSE_MS = 1_000;

/** A connection that has ended, or an attempt that came to nothing. */
export interface Loss {
  /** The close code; 0 where no socket was made. */
  code: number;
  why: string;
  cause?: unknown;
  /** Whether the session was ever attached. */
  wasLive: boolean;
  /** Without a connection, ms. The time that the machine or the page has slept is not in it. */
  awayMs: number;
  /** Refused credentials in a row. */
  refusals: number;
}

export interface ConnectionOptions {
  WebSocket: SocketConstructor;
  /** Called for every attempt, since session and position change. */
  address: () => string;
  token: (refused: boolean) => Promise<string | undefined>;
  /** ms before the attempt after `failures` failures in a row. */
  backoffMs: (failures: number) => number;
  /** An error ends it; undefined tries again. */
  giveUp: (loss: Loss) => ClientError | undefined;
  /** Longest time from an attempt's beginning to `session:ready`. */
  readyMs: number;
  /** After so much silence the client asks whether the server is there … */
  silenceMs: number;
  /** … and waits so long for any frame. */
  answerMs: number;
  onFrame: (text: string) => void;
  onState: (state: ConnectionEvent) => void;
}

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #stopWaking: () => void;
  /** Names the attempt that counts; what an earlier one's socket says later is not heard. */
  #attempt: object | undefined;
  #socket: SocketLike | undefined;
  /** One at a time: the attempt's deadline, the silence, or the wait for the next attempt. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When it is due, as performance.now() counts. */
  #dueAt = Infinity;
  #waiting = false;
  #paused = false;
  #ended = false;
  #failures = 0;
  #refusals = 0;
  #wasLive = false;
  #liveAt: number | undefined;
  #awaySince = performance.now();
  #heardAt = 0;
  /** When the server was asked whether it is there. Later than `heardAt`: it has not answered. */
  #askedAt = 0;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#stopWaking = onWake(() => this.#wake());
    void this.#try();
  }

  /** Call it when the session has answered: the connection counts as good from here on. */
  ready(): void {
    this.#liveAt = performance.now();
    this.#wasLive = true;
    this.#refusals = 0;
    this.#listen();
    this.#options.onState({ type: 'connection:live' });
  }

  /** False without a connection. */
  send(text: string): boolean {
    if (this.#socket?.readyState !== OPEN || this.#liveAt === undefined) return false;
    this.#socket.send(text);
    return true;
  }

  /** Gives this connection up and gets a new one. */
  drop(why: string): void {
    const socket = this.#socket;
    this.#lost(1006, why);
    if (socket) abandon(socket);
  }

  reconnect(): void {
    if (this.#waiting) this.#wake();
    else this.drop('asked for');
  }

  /** No connection until `resume`. */
  pause(): void {
    if (this.#paused || this.#ended) return;
    this.#paused = true;
    const socket = this.#socket;
    this.#forget();
    if (socket) abandon(socket);
    this.#options.onState({ type: 'connection:paused' });
  }

  resume(): void {
    if (!this.#paused || this.#ended) return;
    this.#paused = false;
    this.#awaySince = performance.now();
    void this.#try();
  }

  /** Resolves when the socket is gone, after a second at the latest. No timer is left then. */
  close(): Promise<void> {
    const socket = this.#socket;
    this.#end('closed here');
    if (socket === undefined || socket.readyState === CLOSED_STATE) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        abandon(socket);
        resolve();
      }, CLOSE_MS);
      socket.addEventListener('close', () => {
        clearTimeout(timer);
        resolve();
      });
      socket.close(1000);
    });
  }

  async #try(): Promise<void> {
    const attempt = {};
    this.#attempt = attempt;
    this.#set(this.#options.readyMs, () => this.drop('no answer'));
    try {
      const token = await this.#options.token(this.#refusals > 0);
      if (this.#attempt !== attempt) return;
      // A browser can send no header: the token goes as a second subprotocol, which the server never answers.
      const protocols = token === undefined ? [PROTOCOL] : [PROTOCOL, `bearer.${token}`];
      this.#attach(new this.#options.WebSocket(this.#options.address(), protocols), attempt);
    } catch (error) {
      if (this.#attempt === attempt) this.#lost(0, wordsOf(error), error);
    }
  }

  #attach(socket: SocketLike, attempt: object): void {
    this.#socket = socket;
    let cause: unknown;
    let why = '';
    socket.addEventListener('message', ({ data }) => {
      if (this.#attempt !== attempt || typeof data !== 'string') return;
      this.#heardAt = performance.now();
      this.#options.onFrame(data);
    });
    socket.addEventListener('error', (event) => {
      const { error, message = '' } = event as SocketError;
      cause ??= error;
      why ||= error === undefined ? message : wordsOf(error);
    });
    socket.addEventListener('close', ({ code, reason }) => {
      if (this.#attempt === attempt)
        this.#lost(code, why || reason || (code === 1006 ? 'connection lost' : `closed with ${code}`), cause);
    });
  }

  #lost(code: number, why: string, cause?: unknown): void {
    const liveAt = this.#liveAt;
    this.#forget();
    const now = performance.now();
    if (liveAt !== undefined) {
      this.#awaySince = now;
      if (now - liveAt >= STABLE_MS) this.#failures = 0;
    }
    if (code === 4401) this.#refusals++;
    const loss: Loss = {
      code,
      why,
      cause,
      wasLive: this.#wasLive,
      awayMs: now - this.#awaySince,
      refusals: this.#refusals,
    };
    const error = this.#options.giveUp(loss);
    if (error) return this.#end(error.message, error);
    const delayMs = this.#options.backoffMs(this.#failures++);
    this.#waiting = true;
    this.#set(delayMs, () => void this.#try());
    const type = isOffline() ? 'connection:offline' : 'connection:reconnecting';
    this.#options.onState({
      type,
      why,
      code,
      delayMs,
      at: Date.now() + delayMs,
      ...(cause !== undefined && { cause }),
    });
    return undefined;
  }

  /** The socket that was counts no longer. */
  #forget(): void {
    this.#stopTimer();
    this.#attempt = undefined;
    this.#socket = undefined;
    this.#liveAt = undefined;
    this.#waiting = false;
  }

  #end(why: string, error?: ClientError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#forget();
    this.#stopWaking();
    this.#options.onState({ type: 'connection:closed', why, ...(error && { error }) });
  }

  #listen(): void {
    const { silenceMs } = this.#options;
    this.#set(Math.max(0, this.#heardAt + silenceMs - performance.now()), () => {
      if (performance.now() - this.#heardAt < silenceMs) this.#listen();
      else this.#ask();
    });
  }

  /** A frame of the protocol, since a page cannot send WebSocket's own pings. */
  #ask(): void {
    this.#askedAt = performance.now();
    this.send('{"type":"ping"}');
    this.#set(this.#options.answerMs, () => {
      if (this.#heardAt > this.#askedAt) this.#listen();
      else this.drop('no answer to a ping');
    });
  }

  /** The network is back, or somebody looks: what seems to live may be dead, and what waits need not. */
  #wake(): void {
    if (this.#liveAt !== undefined) {
      // A question that is open keeps its deadline, however often somebody looks.
      if (this.#heardAt >= this.#askedAt) this.#ask();
    } else if (this.#waiting) {
      this.#forget();
      void this.#try();
    }
  }

  #set(ms: number, work: () => void): void {
    this.#stopTimer();
    this.#dueAt = performance.now() + ms;
    this.#timer = setTimeout(() => {
      this.#stopTimer();
      work();
    }, ms);
  }

  /** A timer that is late tells that the machine slept, or the page: nothing could be tried, so that time is no reason to give up. */
  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#awaySince += Math.max(0, performance.now() - this.#dueAt);
    this.#dueAt = Infinity;
  }
}

function wordsOf(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return String((typeof code === 'string' && code) || message);
}
