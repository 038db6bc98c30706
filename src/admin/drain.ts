/** An administrator's drain: nothing new starts here, what runs ends, clients are told to go elsewhere; until it is taken back. Main thread. */
import type { WorkLeft } from '../../workers/agent/contract/lifecycle.js';
import type { Logger } from '../shared/log.js';

export interface DrainState extends WorkLeft {
  draining: boolean;
  /** ms since the epoch. */
  since?: number;
  /** Open sockets and streams. */
  connections: number;
}

export interface DrainParts {
  threads: {
    /** From now on no turn starts in any thread; resolves with the sessions whose turn runs. */
    rest: () => Promise<string[]>;
    /** Turns start again, those in line first. */
    wake: () => Promise<void>;
    workLeft: () => Promise<WorkLeft>;
  };
  front: {
    /** New sockets, sessions and messages are refused, or no more. */
    refuseNew: (refused: boolean) => void;
    /** Closes what listens to a session that does nothing. */
    closeResting: (isBusy: (session: string) => boolean) => void;
    counts: () => { connections: number };
  };
  /** For /readyz. */
  tell: (draining: boolean) => void;
  log: Logger;
}

export class Drain {
  readonly #parts: DrainParts;
  #since: number | undefined;
  /** One change after the other: of two administrators the later one counts. */
  #changes: Promise<void> = Promise.resolve();

  constructor(parts: DrainParts) {
    this.#parts = parts;
  }

  get active(): boolean {
    return this.#since !== undefined;
  }

  /** Resolves when nothing new starts. Idempotent. */
  begin(): Promise<DrainState> {
    return this.#change(async () => {
      const { threads, front, tell, log } = this.#parts;
      if (this.#since === undefined) log.info('the server drains: an administrator has asked for it');
      this.#since ??= Date.now();
      tell(true);
      front.refuseNew(true); // first: who is told to go must not be let in again
      const busy = new Set(await threads.rest());
      front.closeResting((session) => busy.has(session));
    });
  }

  /** Resolves when everything is served again. Idempotent. */
  end(): Promise<DrainState> {
    return this.#change(async () => {
      if (this.#since === undefined) return;
      const { threads, front, tell, log } = this.#parts;
      await threads.wake();
      front.refuseNew(false);
      this.#since = undefined;
      tell(false);
      log.info('the server takes work again: an administrator has ended the drain');
    });
  }

  async read(): Promise<DrainState> {
    const { threads, front } = this.#parts;
    const left = await threads.workLeft();
    const since = this.#since;
    return { draining: since !== undefined, ...(since !== undefined && { since }), ...left, ...front.counts() };
  }

  async #change(work: () => Promise<void>): Promise<DrainState> {
    const changed = this.#changes.then(work);
    this.#changes = changed.catch(() => undefined); // its caller has got that error
    await changed;
    return this.read();
  }
}
