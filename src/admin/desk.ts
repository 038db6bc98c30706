/** An administrator's acts on users and sessions, wherever in the store's servers they are. Main thread. */
import type { Acts, SessionAct } from './acts.js';
import type { Here } from './here.js';

export interface DeskOptions {
  here: Here;
  acts: Acts;
}

export class AdminDesk {
  readonly #options: DeskOptions;

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  /** Closes the user's connections at every server; resolves with how many were closed at this one. ERR_UNAVAILABLE: none was. */
  kick(user: string): Promise<number> {
    return this.#options.acts.tellAll({ do: 'kick', user });
  }

  /** The server that has the session does it; where that one is away, this server takes the session over. */
  async onSession(act: SessionAct): Promise<void> {
    const { here, acts } = this.#options;
    if (!(await here.has(act.session)) && (await acts.askOwner(act))) return;
    await here.perform(act);
  }
}
