/** Picks from a session's frames those of the turn that one message has started. Pure. Main thread. */
import type { OutFrame } from '../../workers/agent/contract/sessions.js';

/**
 * waiting (for the message's acceptance) → queued → running → ended. A session runs one turn at a time, so events without a
 * turn belong to the one that runs.
 */
export class TurnFilter {
  readonly #messageId: string;
  #turn = 0;
  #state: 'waiting' | 'queued' | 'running' | 'ended' = 'waiting';

  constructor(messageId: string) {
    this.#messageId = messageId;
  }

  /** 0 until it is known. */
  get turn(): number {
    return this.#turn;
  }

  get state(): 'waiting' | 'queued' | 'running' | 'ended' {
    return this.#state;
  }

  /** Picks the events of this turn from now on. Its acceptance has passed. */
  follow(turn: number): void {
    this.#turn = turn;
    this.#state = 'queued';
  }

  take(frame: OutFrame): boolean {
    const { type, turn, seq } = frame;
    if (seq === 0) return this.#state === 'running'; // streaming events belong to the turn that runs
    switch (this.#state) {
      case 'waiting':
        if (turn === undefined || !this.#accepts(frame)) return false;
        this.follow(turn);
        return true;
      case 'queued':
        if (turn !== this.#turn) return false;
        if (type === 'turn:end') this.#state = 'ended';
        else if (type !== 'message:accepted') this.#state = 'running';
        return true;
      case 'running':
        if (type === 'history:cleared' || (turn !== undefined && turn !== this.#turn)) return false;
        if (type === 'turn:end') this.#state = 'ended';
        return true;
      case 'ended':
        return false;
    }
  }

  /** Parses each acceptance until its own comes, since only the event has the message's id. */
  #accepts({ type, json }: OutFrame): boolean {
    return type === 'message:accepted' && (JSON.parse(json) as { id?: string }).id === this.#messageId;
  }
}
