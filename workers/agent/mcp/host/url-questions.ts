/** Addresses that a person has been asked to open, and of which the server says when they have been. Older era; agent threads. */
import { AnsweredElsewhere } from './question.js';

export class UrlQuestions {
  /** By the id that the server gave it; an entry goes with its question. */
  readonly #open = new Map<string, AbortController>();

  /** `ask` ends as accepted as soon as the server says that this one is complete. */
  async ask<T>(elicitationId: string, signal: AbortSignal, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const done = new AbortController();
    this.#open.set(elicitationId, done);
    try {
      return await ask(AbortSignal.any([signal, done.signal]));
    } finally {
      if (this.#open.get(elicitationId) === done) this.#open.delete(elicitationId);
    }
  }

  /** One that is not open any more, or never was, is passed over. */
  complete(elicitationId: string): void {
    this.#open.get(elicitationId)?.abort(new AnsweredElsewhere({ action: 'accept' }));
  }
}
