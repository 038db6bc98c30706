/**
 * Streams whole histories: asks the agent thread for one piece of stored JSON at a time, writes it, and asks for the next one
 * once the reader has taken it. So this thread holds a piece of a history, and never parses one. Main thread.
 */
import type { HistoryPiece, HistoryPlace, SessionRef } from '../../workers/agent/contract/sessions.js';
import { withDeadline } from '../shared/abort.js';
import { errorToData, FairleadError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import type { Person } from '../shared/person.js';
import type { Agents } from '../threads/agents.js';
import type { Exchange } from './http.js';
import { REQUEST_TIMEOUT_MS, type Subscriber } from './hub.js';
import type { Presence } from './presence.js';
import { errorOfClose } from './problem.js';

/** Whole histories that one user may read at a time. */
const MAX_OF_USER = 2;
/** A reader that takes nothing for so long is cut. */
const STALLED_MS = 60_000;

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
    const reader = this.#enter(exchange, person);
    const first = await this.#piece(of);
    if (!exchange.open) return;
    if (!first.next || exchange.head.method === 'HEAD') {
      const text = Buffer.from(first.bytes).toString();
      // A HEAD of a longer one gets no length, since it is not known.
      if (first.next) return exchange.empty(200, [['Content-Type', 'application/json']]);
      return exchange.answer(200, 'application/json', BEGIN + text + END);
    }
    reader.streaming = true;
    let resume: (() => void) | undefined;
    exchange.startStream([['Content-Type', 'application/json']], () => resume?.());
    exchange.onClose(() => resume?.());
    const write = async (chunk: string | Uint8Array): Promise<void> => {
      if (exchange.write(chunk) || !exchange.open) return;
      const taken = new Promise<void>((resolve) => (resume = resolve));
      await withDeadline({ timeoutMs: STALLED_MS, late: stalled }, () => taken);
      resume = undefined;
    };
    try {
      await write(BEGIN);
      await write(first.bytes);
      for (let place: HistoryPlace | undefined = first.next; place && exchange.open;) {
        const piece: HistoryPiece = await this.#piece(of, place);
        if (piece.bytes.length > 0) await write(piece.bytes);
        place = piece.next;
      }
      await write(END);
      exchange.endStream();
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
  #enter(exchange: Exchange, person: Person): Reader {
    const { user } = person;
    const { presence } = this.#options;
    const reading = this.#reading.get(user) ?? 0;
    if (reading >= MAX_OF_USER) {
      throw new FairleadError(
        'ERR_TOO_MANY_REQUESTS',
        `${MAX_OF_USER} whole histories are being read: wait, or read pages`,
        { retryAfterMs: 1_000 },
      );
    }
    const reader: Reader = {
      streaming: false,
      user,
      person,
      seq: 0,
      get open() {
        return exchange.open;
      },
      send: () => undefined,
      gone: (code, reason, error) => {
        if (reader.streaming) exchange.cut();
        else exchange.fail(error ?? errorOfClose(code, reason));
      },
    };
    const full = presence.enter(user, reader);
    if (full) throw full;
    this.#reading.set(user, reading + 1);
    exchange.onClose(() => {
      presence.leave(user, reader);
      const left = (this.#reading.get(user) ?? 1) - 1;
      if (left > 0) this.#reading.set(user, left);
      else this.#reading.delete(user);
    });
    return reader;
  }
}

/** It gets no events of the session. */
interface Reader extends Subscriber {
  /** The answer has begun. */
  streaming: boolean;
}

function stalled(): FairleadError {
  return new FairleadError('ERR_UNAVAILABLE', 'the reader has taken nothing for too long');
}
