/** Sessions that go on though nobody asks: those that a crash cut, at the start; those whose deadline has come, every second. Agent threads. */
import { errorToData } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import type { Store } from '../store/store.js';

const LOOK_MS = 1_000;
const AT_ONCE = 16;

export interface WakeUpOptions {
  store: Pick<Store, 'sessionsToWake'>;
  isMine: (session: string) => boolean;
  wake: (session: string) => Promise<void>;
  log: Logger;
}

/** One timer for all who wait, whoever waits costs an entry of the store's index. */
export class WakeUps {
  readonly #options: WakeUpOptions;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: WakeUpOptions) {
    this.#options = options;
  }

  /** Resolves with how many an earlier life of this server, or of this thread, has left; they go on from now. ERR_UNAVAILABLE. */
  async start(): Promise<number> {
    const left = await this.#find(Infinity);
    void this.#run(left);
    return left.length;
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
    if (!this.#closed) this.#timer = setTimeout(() => void this.#look(), LOOK_MS);
  }

  async #find(before: number): Promise<string[]> {
    return (await this.#options.store.sessionsToWake(before)).filter((session) => this.#options.isMine(session));
  }

  /** One that fails is due still, and found again; after a start, when somebody comes to it. */
  async #wakeAll(sessions: readonly string[]): Promise<void> {
    const line = sessions.values();
    const lane = async (): Promise<void> => {
      for (const session of line) {
        if (this.#closed) return;
        try {
          await this.#options.wake(session);
        } catch (error) {
          this.#options.log.warn({ session, err: errorToData(error).message }, 'a session could not go on');
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
  }
}
