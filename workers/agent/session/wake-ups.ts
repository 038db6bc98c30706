/** Wakes sessions that no request comes for: at the start those that a crash interrupted, then those whose deadline comes. Agent threads. */
import { errorToData } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import type { Store } from '../store/store.js';

const INTERVAL_MS = 1_000;
const CONCURRENCY = 16;

export interface WakeUpOptions {
  store: Pick<Store, 'sessionsToWake'>;
  isMine: (session: string) => boolean;
  wake: (session: string) => Promise<void>;
  log: Logger;
}

/** One timer for all waiting sessions; each costs one entry in the store's index. */
export class WakeUps {
  readonly #options: WakeUpOptions;
  #timer: NodeJS.Timeout | undefined;
  #running = false;
  #closed = false;

  constructor(options: WakeUpOptions) {
    this.#options = options;
  }

  /** Resolves with the number of sessions that an earlier run of the server or thread has left open, and wakes them. Called again, it does nothing. ERR_UNAVAILABLE. */
  async start(): Promise<number> {
    if (this.#running) return 0;
    const left = await this.#find(Infinity);
    this.#running = true;
    void this.#run(left);
    return left.length;
  }

  /** Wakes those that are open at this moment: they were not let begin until now. ERR_UNAVAILABLE. */
  async again(): Promise<void> {
    if (!this.#running) return void (await this.start());
    const left = await this.#find(Infinity);
    void this.#wakeAll(left);
  }

  /** Sessions of an earlier run are woken already, or are being woken. */
  get running(): boolean {
    return this.#running;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #run(first: string[]): Promise<void> {
    await this.#wakeAll(first);
    await this.#look();
  }

  async #look(): Promise<void> {
    try {
      await this.#wakeAll(await this.#find(Date.now()));
    } catch (error) {
      this.#options.log.debug({ err: errorToData(error).message }, 'looking for sessions to wake failed');
    }
    if (!this.#closed) this.#timer = setTimeout(() => void this.#look(), INTERVAL_MS);
  }

  async #find(before: number): Promise<string[]> {
    return (await this.#options.store.sessionsToWake(before)).filter((session) => this.#options.isMine(session));
  }

  /** A session that fails keeps its wake-up: it is found again at its deadline, or when a request opens it. */
  async #wakeAll(sessions: readonly string[]): Promise<void> {
    const queue = sessions.values();
    const worker = async (): Promise<void> => {
      for (const session of queue) {
        if (this.#closed) return;
        try {
          await this.#options.wake(session);
        } catch (error) {
          this.#options.log.warn({ session, err: errorToData(error).message }, 'waking a session failed');
        }
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  }
}
