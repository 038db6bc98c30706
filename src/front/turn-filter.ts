/** Which of a session's events belong to the turn that one message became. Pure. Main thread. */
import type { DurableEvent } from '../shared/protocol.js';

export type NumberedEvent = DurableEvent & { seq: number };

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

  /** Streaming events belong to the turn that runs. */
  get takesStreaming(): boolean {
    return this.#state === 'running';
  }

  take(event: NumberedEvent): boolean {
    switch (this.#state) {
      case 'waiting':
        if (event.type !== 'message:accepted' || event.id !== this.#messageId) return false;
        this.follow(event.turn);
        return true;
      case 'queued':
        if (!('turn' in event) || event.turn !== this.#turn) return false;
        if (event.type === 'turn:end') this.#state = 'ended';
        else if (event.type !== 'message:accepted') this.#state = 'running';
        return true;
      case 'running':
        if (event.type === 'history:cleared' || ('turn' in event && event.turn !== this.#turn)) return false;
        if (event.type === 'turn:end') this.#state = 'ended';
        return true;
      case 'ended':
        return false;
    }
  }
}
