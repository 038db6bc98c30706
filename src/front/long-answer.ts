/**
 * An answer that is written piece by piece, as its reader takes it. It counts among its user's connections, ends with their credential,
 * and is cut where the reader takes nothing for too long. Main thread.
 */
import { withDeadline } from '../shared/abort.js';
import { FairleadError } from '../shared/errors.js';
import type { Person } from '../shared/person.js';
import type { Exchange, Header } from './http.js';
import type { Subscriber } from './hub.js';
import type { Presence } from './presence.js';
import { errorOfClose } from './problem.js';

/** A reader that takes nothing for so long is cut. */
const STALLED_MS = 60_000;

export class LongAnswer {
  readonly #exchange: Exchange;
  readonly #stalledMs: number;
  /** The answer has begun. */
  #streaming = false;
  #resume: (() => void) | undefined;

  private constructor(exchange: Exchange, stalledMs: number) {
    this.#exchange = exchange;
    this.#stalledMs = stalledMs;
  }

  /** The refusals of `Presence`. */
  static enter(presence: Presence, exchange: Exchange, person: Person, stalledMs = STALLED_MS): LongAnswer {
    const { user } = person;
    const answer = new LongAnswer(exchange, stalledMs);
    // It gets no events of a session.
    const reader: Subscriber = {
      user,
      person,
      seq: 0,
      get open() {
        return exchange.open;
      },
      send: () => undefined,
      gone: (code, reason, error) => {
        if (answer.#streaming) exchange.cut();
        else exchange.fail(error ?? errorOfClose(code, reason));
      },
    };
    const full = presence.enter(user, reader);
    if (full) throw full;
    exchange.onClose(() => presence.leave(user, reader));
    return answer;
  }

  begin(headers: readonly Header[]): void {
    this.#streaming = true;
    this.#exchange.startStream(headers, () => this.#resume?.());
    this.#exchange.onClose(() => this.#resume?.());
  }

  /** Resolves when the reader may get more, or has gone. ERR_UNAVAILABLE: it has taken nothing for too long. */
  async write(chunk: string | Uint8Array): Promise<void> {
    if (this.#exchange.write(chunk) || !this.#exchange.open) return;
    const taken = new Promise<void>((resolve) => (this.#resume = resolve));
    await withDeadline({ timeoutMs: this.#stalledMs, late: stalled }, () => taken);
    this.#resume = undefined;
  }

  end(): void {
    this.#exchange.endStream();
  }
}

function stalled(): FairleadError {
  return new FairleadError('ERR_UNAVAILABLE', 'the reader has taken nothing for too long');
}
