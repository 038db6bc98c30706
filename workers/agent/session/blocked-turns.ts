/** Stops the turns of blocked users on this thread: those in memory, and those that wait in the store for a yes. Agent threads. */
import { atMost } from '../../../src/shared/abort.js';
import { errorToData } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import type { SessionRow, Store } from '../store/store.js';
import type { BlockedUsers } from './blocked-users.js';
import type { Sessions } from './sessions.js';

const PAGE = 100;
/** A turn whose call does not heed its end must not hold up the answer: the main thread asks again. */
const STOP_MS = 5_000;

export interface BlockedTurnsOptions {
  blocked: Pick<BlockedUsers, 'has'>;
  sessions: Pick<Sessions, 'stop' | 'withTurns' | 'isActive'>;
  store: Pick<Store, 'listSessions'>;
  /** This server's name in the rows that it owns. */
  owner: string;
  isMine: (session: string) => boolean;
  log: Logger;
  stopMs?: number;
}

export class BlockedTurns {
  readonly #options: BlockedTurnsOptions;
  /** Users whose stored sessions were not looked through yet. */
  readonly #unread = new Set<string>();
  #looking: Promise<void> | undefined;

  constructor(options: BlockedTurnsOptions) {
    this.#options = options;
  }

  /**
   * `fresh` are blocked since now. Resolves with the number of sessions with a turn of a blocked user that has not ended yet, and
   * of users whose sessions could not be read.
   */
  async stop(fresh: ReadonlySet<string>): Promise<number> {
    const { stopMs = STOP_MS } = this.#options;
    for (const user of fresh) this.#unread.add(user);
    const loaded = this.#loaded().map((row) => this.#stop(row));
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    await atMost(stopMs, Promise.all([...loaded, this.#looking]));
    return this.#loaded().length + this.#unread.size;
  }

  #loaded(): SessionRow[] {
    const { sessions, blocked } = this.#options;
    return sessions.withTurns((user) => blocked.has(user));
  }

  /** Only sessions with a turn that has not ended are opened. */
  async #look(): Promise<void> {
    const { log } = this.#options;
    for (const user of this.#unread) {
      try {
        for await (const row of this.#waiting(user)) await this.#stop(row);
        this.#unread.delete(user);
      } catch (error) {
        log.warn({ err: errorToData(error).message }, 'the sessions of a blocked user could not be read');
        return;
      }
    }
  }

  async *#waiting(user: string): AsyncGenerator<SessionRow> {
    const { store, owner, isMine, sessions, blocked } = this.#options;
    for (let cursor: string | undefined; ;) {
      const page = await store.listSessions(user, { limit: PAGE, ...(cursor === undefined ? {} : { cursor }) });
      for (const row of page.sessions) {
        const { session, openTurns } = row;
        const waits = openTurns.length > 0 && row.owner === owner && isMine(session) && !sessions.isActive(session);
        if (waits && blocked.has(user)) yield row;
      }
      cursor = page.next;
      if (cursor === undefined) return;
    }
  }

  /** A turn that the store keeps from ending is stopped when its session is read again. */
  async #stop({ session, user }: SessionRow): Promise<void> {
    try {
      await this.#options.sessions.stop({ session, user });
    } catch (error) {
      this.#options.log.warn({ session, err: errorToData(error).message }, 'a blocked user’s turn was not stopped');
    }
  }
}
