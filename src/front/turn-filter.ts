/** Which of a session's frames belong to the turn that one message became. Pure. Main thread. */
import type { OutFrame } from '../../workers/agent/contract/sessions.js';

/**
 * waiting (for the message's acceptance) → queued → running → ended. One turn runs at a time, so that between a turn's
 * start and its end the events that name no turn are its own.
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

  /** From now on the events of this turn, whose acceptance is past. */
  follow(turn: number): void {
    this.#turn = turn;
    this.#state = 'queued';
  }

  take(frame: OutFrame): boolean {
    const { type, turn, seq } = frame;
    if (seq === 0) return this.#state === 'running'; // a streaming event is of the turn that runs
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

  /** The message's id is in the event alone, so that each acceptance is parsed until its own has come. */
  #accepts({ type, json }: OutFrame): boolean {
    return type === 'message:accepted' && (JSON.parse(json) as { id?: string }).id === this.#messageId;
  }
}
