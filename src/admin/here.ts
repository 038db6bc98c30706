/** Carries out administrators' acts at this server. Main thread. */
import type { SessionSize } from '../../workers/agent/contract/sessions.js';
import type { Person } from '../shared/person.js';
import { CLOSE } from '../shared/protocol.js';
import { isFairleadError } from '../shared/errors.js';
import type { Agents } from '../threads/agents.js';
import type { Act, SessionAct } from './acts.js';

/** To end a session may save its workspace, at the second try of a sandbox whose processes are stopped first. */
const ACT_TIMEOUT_MS = 140_000;
const LOOK_TIMEOUT_MS = 10_000;

export interface HereOptions {
  /** This server's name in the rows of its sessions. */
  instance: string;
  agents: Agents;
  /** Closes the sockets and streams of whom `ends` is true; returns their number. */
  close: (ends: (person: Person) => boolean, code: number, reason: string) => number;
}

export class Here {
  readonly #options: HereOptions;

  constructor(options: HereOptions) {
    this.#options = options;
  }

  /** Whether this server has the session. */
  async has(session: string): Promise<boolean> {
    return (await this.#ownerOf(session)) === this.#options.instance;
  }

  /** Resolves with how many connections or turns that has ended. A session of another server is taken over for it. */
  async perform(act: Act): Promise<number> {
    return act.do === 'kick' ? this.#kick(act.user) : this.#onSession(act);
  }

  #kick(kicked: string): number {
    const reason = 'an administrator has closed this connection';
    return this.#options.close(({ user }) => user === kicked, CLOSE.ended, reason);
  }

  /** Whether nothing of the session is open anywhere: to take it over disturbs no turn and no question. */
  async isIdle(session: string): Promise<boolean> {
    const { running, queued } = await this.#sizeOf(session);
    return !running && queued === 0;
  }

  async #onSession(act: SessionAct): Promise<number> {
    const { agents } = this.#options;
    const { session } = act;
    const timeoutMs = ACT_TIMEOUT_MS;
    switch (act.do) {
      case 'end':
        return (await agents.request(session, 'end-session', { session }, { timeoutMs })).turns;
      case 'look':
        await agents.request(session, 'tell-look', { session, admin: act.admin }, { timeoutMs: LOOK_TIMEOUT_MS });
        return 0;
      case 'cancel':
      case 'delete': {
        const { user } = await this.#sizeOf(session);
        const name = act.do === 'cancel' ? 'cancel-turn' : 'delete-session';
        await agents.request(session, name, { session, user, ...(act.by && { by: act.by }) }, { timeoutMs });
        return 0;
      }
    }
  }

  async #ownerOf(session: string): Promise<string | undefined> {
    try {
      return (await this.#sizeOf(session)).server;
    } catch (error) {
      if (isFairleadError(error, 'ERR_NO_SUCH_SESSION')) return undefined;
      throw error;
    }
  }

  #sizeOf(session: string): Promise<SessionSize> {
    return this.#options.agents.request(session, 'session-size', { session }, { timeoutMs: LOOK_TIMEOUT_MS });
  }
}
