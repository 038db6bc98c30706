/** Tells the sessions' store how many bytes each saved workspace has, for the limits of users; again until it is told. Docker thread. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../../src/shared/log.js';
import type { SavedSize } from '../contract/messages.js';

const AT_ONCE = 100;
const AGAIN_MS = 5_000;

export interface SavedSizesOptions {
  tell: (saves: SavedSize[]) => Promise<unknown>;
  log: Logger;
  againMs?: number;
}

export class SavedSizes {
  readonly #options: SavedSizesOptions;
  /** What is to be told, by session and server: at most one for each file. */
  readonly #pending = new Map<string, SavedSize>();
  readonly #closing = new AbortController();
  #runs = false;

  constructor(options: SavedSizesOptions) {
    this.#options = options;
  }

  /** 0: there is no save any more. */
  note(session: string, server: string, bytes: number): void {
    if (this.#closing.signal.aborted) return;
    this.#pending.set(`${session} ${server}`, { session, server, bytes });
    if (!this.#runs) void this.#run();
  }

  /** Tells no more: the next start tells all sizes. */
  close(): void {
    this.#closing.abort();
  }

  async #run(): Promise<void> {
    const { tell, log, againMs = AGAIN_MS } = this.#options;
    const { signal } = this.#closing;
    this.#runs = true;
    await delay(0); // saves of one moment go together
    while (this.#pending.size > 0 && !signal.aborted) {
      const some = [...this.#pending].slice(0, AT_ONCE);
      try {
        await tell(some.map(([, save]) => save));
        for (const [key, save] of some) if (this.#pending.get(key) === save) this.#pending.delete(key);
      } catch (error) {
        log.debug({ err: (error as Error).message }, 'the sizes of saved workspaces are told again');
        await delay(againMs, undefined, { signal }).catch(() => undefined); // closing ends the loop
      }
    }
    this.#runs = false;
  }
}
