/** The pauses before a shared `command` server that keeps ending is started again, and why it ended. Agent threads. */
import { backoffMs } from '../../../../src/shared/backoff.js';
import { ServerEnded } from '../host/server-ended.js';

const BACKOFF = { firstMs: 500, maxMs: 30_000 };
/** A server that lived this long restarts at once when it ends. */
const HEALTHY_MS = 60_000;

export interface ServerEnd {
  /** See ServerEnded. */
  how: string;
  /** What it printed last; it may quote a call. */
  stderr: string;
}

interface Pause {
  failures: number;
  until: number;
  end: ServerEnd;
  /** Who may read its stderr. */
  users: Users;
}

/** Whose calls a process may have run; '' is nobody. */
type Users = 'several' | { only: string };

/** Bounded: both tables have servers of the configuration only. */
export class RestartPauses {
  readonly #pauses = new Map<string, Pause>();
  readonly #users = new Map<string, Users>();

  /** The running process is about to run a call of this user. */
  noteUser(server: string, user: string): void {
    if (user === '') return;
    const users = this.#users.get(server) ?? { only: user };
    this.#users.set(server, users !== 'several' && users.only === user ? users : 'several');
  }

  noteEnd(server: string, livedMs: number, end: ServerEnd): void {
    const users = this.#users.get(server) ?? { only: '' };
    this.#users.delete(server);
    if (livedMs >= HEALTHY_MS) this.#pauses.delete(server);
    else this.#pause(server, end, users);
  }

  /** Another server has this name now, or none. */
  forget(server: string): void {
    this.#pauses.delete(server);
    this.#users.delete(server);
  }

  /** `why` may be shown to every user: it has run no call. */
  noteFailedStart(server: string, why: string): void {
    this.#users.delete(server);
    this.#pause(server, { how: why, stderr: '' }, { only: '' });
  }

  /** ServerEnded while the server is not to be started. */
  check(server: string, user: string): void {
    const pause = this.#pauses.get(server);
    const pauseMs = (pause?.until ?? 0) - performance.now();
    if (!pause || pauseMs <= 0) return;
    const { how, stderr } = pause.end;
    const told = mayRead(pause.users, user) ? `${how}${stderr}` : how;
    const text = `the server ${server} has ended several times and restarts soon. The last time: ${told}`;
    throw new ServerEnded('ERR_UNAVAILABLE', text, { how, retryAfterMs: Math.ceil(pauseMs) });
  }

  #pause(server: string, end: ServerEnd, users: Users): void {
    const failures = (this.#pauses.get(server)?.failures ?? 0) + 1;
    // The first failure does not delay: the next call restarts the server.
    const pauseMs = failures === 1 ? 0 : backoffMs(failures, BACKOFF);
    this.#pauses.set(server, { failures, until: performance.now() + pauseMs, end, users });
  }
}

/** What a server prints while it runs one user's call is nothing for another. */
function mayRead(users: Users, user: string): boolean {
  return users !== 'several' && (users.only === '' || users.only === user);
}
