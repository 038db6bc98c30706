/** Somebody who talks through an upgrade with the product's own client, and notes when nothing answers and which turns get lost. */
import { setTimeout as delay } from 'node:timers/promises';
import { ChatClient } from '../../src/cli/chat/client.js';
import type { ServerEvent } from '../../src/shared/protocol.js';

/** A server that drains refuses a message at once: who asks again at once would only be refused again. */
const REFUSED_MS = 250;

export interface PersonOptions {
  ws: string;
  token: string;
  /** Pause between an answer and the next message. */
  thinkMs: () => number;
  /** The whole text of each answer. */
  answer: string;
}

export interface Talk {
  /** Turns that were accepted. */
  turns: number;
  /** Of these, those that ended with their whole answer. */
  whole: number;
  /** Why each of the other turns counts as lost, in a word. */
  faults: string[];
}

export class Person {
  readonly talk: Talk = { turns: 0, whole: 0, faults: [] };
  readonly #options: PersonOptions;
  readonly #client: ChatClient;
  /** The text of the turns that have not ended. */
  readonly #open = new Map<number, string>();
  readonly #ended = new Set<number>();
  /** The message that has no answer yet. */
  #waiting: string | undefined;
  /** ms of performance.now() since which nothing answers. */
  #awaySince: number | undefined;
  #longestMs = 0;
  #over = false;
  #left = false;
  #error: Error | undefined;

  constructor(options: PersonOptions) {
    this.#options = options;
    this.#client = new ChatClient({ ws: options.ws, token: options.token });
    this.#client.on('event', (event) => this.#received(event));
    this.#client.on('retry', () => this.#away());
    this.#client.on('end', (error) => {
      if (error) this.#error = error;
    });
    this.#client.start();
  }

  /** The longest time in which nothing answered since the last call, ms; 0: there was none. */
  takeLongestMs(): number {
    const longest = this.#longestMs;
    this.#longestMs = 0;
    return longest;
  }

  /** It has the answer to all that it has said, and says no more. */
  get atRest(): boolean {
    return this.#over && this.#waiting === undefined && this.#open.size === 0;
  }

  get error(): Error | undefined {
    return this.#error;
  }

  endTalk(): void {
    this.#over = true;
  }

  /** Turns that have not ended by now are lost. Twice is fine. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#over = true;
    this.#client.close();
    for (const turn of this.#open.keys()) this.talk.faults.push(`turn ${turn} did not end`);
    if (this.#waiting !== undefined) this.talk.faults.push('a message was not accepted');
    if (this.#error !== undefined) this.talk.faults.push(this.#error.message);
  }

  #away(): void {
    this.#awaySince ??= performance.now();
  }

  #back(): void {
    if (this.#awaySince === undefined) return;
    this.#longestMs = Math.max(this.#longestMs, performance.now() - this.#awaySince);
    this.#awaySince = undefined;
  }

  #received(event: ServerEvent): void {
    switch (event.type) {
      case 'session:ready':
        return this.#say(); // also after a loss, so that the first answer does not wait for its thoughts
      case 'message:accepted':
        this.#back();
        this.#waiting = undefined;
        this.talk.turns += 1;
        this.#open.set(event.turn, '');
        return;
      case 'text':
        this.#back();
        this.#open.set(event.turn, `${this.#open.get(event.turn) ?? ''}${event.text}`);
        return;
      case 'text:delta':
      case 'turn:start':
        return this.#back();
      case 'turn:end':
        this.#back();
        return this.#end(event.turn, event.stopReason);
      case 'error':
        if (event.id === undefined || event.id !== this.#waiting) return;
        this.#away();
        this.#waiting = undefined;
        void delay(REFUSED_MS).then(() => this.#say());
        return;
      default:
    }
  }

  #end(turn: number, stopReason: string): void {
    if (this.#ended.has(turn)) this.talk.faults.push(`turn ${turn} ended twice`);
    this.#ended.add(turn);
    const text = this.#open.get(turn) ?? '';
    this.#open.delete(turn);
    if (stopReason !== 'end_turn') this.talk.faults.push(`turn ${turn} ended with ${stopReason}`);
    else if (!text.includes(this.#options.answer)) this.talk.faults.push(`turn ${turn} ended without its whole answer`);
    else this.talk.whole += 1;
    void delay(this.#options.thinkMs()).then(() => this.#say());
  }

  #say(): void {
    if (!this.#over && this.#error === undefined && this.#open.size === 0)
      this.#waiting ??= this.#client.message('What is new?');
  }
}
