/** URL elicitations that wait for the server's word that they are complete. Legacy protocol; agent threads. */
import { AnsweredElsewhere } from './question.js';

export class UrlQuestions {
  /** By the server's elicitation id; an entry is removed with its question. */
  readonly #open = new Map<string, AbortController>();

  /** `ask` ends as accepted as soon as the server says that the elicitation is complete. */
  async ask<T>(elicitationId: string, signal: AbortSignal, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const done = new AbortController();
    this.#open.set(elicitationId, done);
    try {
      return await ask(AbortSignal.any([signal, done.signal]));
    } finally {
      if (this.#open.get(elicitationId) === done) this.#open.delete(elicitationId);
    }
  }

  /** Ignores an id that is not open. */
  complete(elicitationId: string): void {
    this.#open.get(elicitationId)?.abort(new AnsweredElsewhere({ action: 'accept' }));
  }
}
