/** An administrator's acts on users and sessions, wherever in the store's servers they are. Main thread. */
import { FairleadError } from '../shared/errors.js';
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

  /**
   * The server that has the session does it; where that one is away, this server takes the session over. For a look it does so only
   * where that disturbs nothing: ERR_UNAVAILABLE.
   */
  async onSession(act: SessionAct): Promise<void> {
    const { here, acts } = this.#options;
    if (!(await here.has(act.session))) {
      if (await acts.askOwner(act)) return;
      if (act.do === 'look' && !(await here.isIdle(act.session))) throw cannotTell();
    }
    await here.perform(act);
  }
}

function cannotTell(): FairleadError {
  const told =
    'the server that has this session does not answer, so its user cannot be told of the look without ending the turn that is open: try again, or end the session first';
  return new FairleadError('ERR_UNAVAILABLE', told, { retryAfterMs: 5_000 });
}
