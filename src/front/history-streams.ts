/**
 * Streams whole histories: asks the agent thread for one piece of stored JSON at a time, writes it, and asks for the next one
 * once the reader has taken it. So this thread holds a piece of a history, and never parses one. Main thread.
 */
import type { HistoryPiece, HistoryPlace, SessionRef } from '../../workers/agent/contract/sessions.js';
import { errorToData, FairleadError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import type { Person } from '../shared/person.js';
import type { Agents } from '../threads/agents.js';
import type { Exchange } from './http.js';
import { REQUEST_TIMEOUT_MS } from './hub.js';
import { LongAnswer } from './long-answer.js';
import type { Presence } from './presence.js';

/** Whole histories that one user may read at a time. */
const MAX_OF_USER = 2;
const BEGIN = '{"transcript":[';
const END = ']}';

export interface HistoryStreamsOptions {
  agents: Agents;
  presence: Presence;
  log: Logger;
}

export class HistoryStreams {
  readonly #options: HistoryStreamsOptions;
  /** By user; without an entry at 0. */
  readonly #reading = new Map<string, number>();

  constructor(options: HistoryStreamsOptions) {
    this.#options = options;
  }

  /** Rejects with the error to answer with, unless the answer has begun: then the connection is cut, so that a part is not taken for all. */
  async stream(exchange: Exchange, of: SessionRef, person: Person): Promise<void> {
    const answer = this.#enter(exchange, person);
    const first = await this.#piece(of);
    if (!exchange.open) return;
    if (!first.next || exchange.head.method === 'HEAD') {
      const text = Buffer.from(first.bytes).toString();
      // A HEAD of a longer one gets no length, since it is not known.
      if (first.next) return exchange.empty(200, [['Content-Type', 'application/json']]);
      return exchange.answer(200, 'application/json', BEGIN + text + END);
    }
    answer.begin([['Content-Type', 'application/json']]);
    try {
      await answer.write(BEGIN);
      await answer.write(first.bytes);
      for (let place: HistoryPlace | undefined = first.next; place && exchange.open;) {
        const piece: HistoryPiece = await this.#piece(of, place);
        if (piece.bytes.length > 0) await answer.write(piece.bytes);
        place = piece.next;
      }
      await answer.write(END);
      answer.end();
    } catch (error) {
      this.#options.log.warn(
        { session: of.session, err: errorToData(error).message },
        'a history was cut while it was read',
      );
      exchange.cut();
    }
  }

  #piece(of: SessionRef, place?: HistoryPlace): Promise<HistoryPiece> {
    const { agents } = this.#options;
    const request = { ...of, ...(place && { place }) };
    return agents.request(of.session, 'read-history', request, { timeoutMs: REQUEST_TIMEOUT_MS });
  }

  /** ERR_TOO_MANY_REQUESTS, and the refusals of `Presence`. */
  #enter(exchange: Exchange, person: Person): LongAnswer {
    const { user } = person;
    const reading = this.#reading.get(user) ?? 0;
    if (reading >= MAX_OF_USER) {
      throw new FairleadError(
        'ERR_TOO_MANY_REQUESTS',
        `${MAX_OF_USER} whole histories are being read: wait, or read pages`,
        { retryAfterMs: 1_000 },
      );
    }
    const answer = LongAnswer.enter(this.#options.presence, exchange, person);
    this.#reading.set(user, reading + 1);
    exchange.onClose(() => {
      const left = (this.#reading.get(user) ?? 1) - 1;
      if (left > 0) this.#reading.set(user, left);
      else this.#reading.delete(user);
    });
    return answer;
  }
}
