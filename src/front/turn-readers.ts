/** Readers of one turn, for POST …/messages: one streams its events as SSE, one gathers them into a JSON answer. Main thread. */
import type { OutFrame } from '../../workers/agent/contract/sessions.js';
import { FairleadError } from '../shared/errors.js';
import type { Person } from '../shared/person.js';
import type { Pending } from '../shared/protocol.js';
import { openEventStream, type StreamParts } from './events-reader.js';
import type { Exchange } from './http.js';
import type { Subscriber } from './hub.js';
import { errorOfClose, errorOfWire } from './problem.js';
import type { EventStream } from './sse.js';
import { TurnFilter } from './turn-filter.js';
import { TurnResult } from './turn-result.js';

/** A JSON request that has waited this long for its turn is answered 202; the turn goes on. */
const MAX_WAIT_MS = 600_000;

export interface TurnReader extends Subscriber {
  /** 0 until the message's acceptance has come. */
  readonly turn: number;
  /** Gets the first frames, at the moment when it is subscribed. */
  attached(frames: readonly OutFrame[]): void;
  /** The message was accepted before, as `turn`. `frames` is all that the log still holds. */
  again(turn: number, frames: readonly OutFrame[]): void;
}

export class SseTurnReader implements TurnReader {
  readonly person: Person;
  seq = 0;
  readonly #exchange: Exchange;
  readonly #parts: StreamParts;
  readonly #filter: TurnFilter;
  #stream: EventStream | undefined;

  constructor(exchange: Exchange, messageId: string, parts: StreamParts) {
    this.person = parts.person;
    this.#exchange = exchange;
    this.#parts = parts;
    this.#filter = new TurnFilter(messageId);
  }

  get user(): string {
    return this.person.user;
  }

  get open(): boolean {
    return this.#exchange.open;
  }

  get turn(): number {
    return this.#filter.turn;
  }

  /** Sends nothing: no first frame is of this turn, and as long as nothing is sent a refusal can be an HTTP status. */
  attached(): void {}

  send(frames: readonly OutFrame[]): void {
    const mine = this.#mine(frames);
    if (mine.length === 0) return;
    this.#stream ??= openEventStream(this.#exchange, this.#parts);
    this.#stream.send(mine);
    this.#endWithTurn();
  }

  again(turn: number, frames: readonly OutFrame[]): void {
    this.#filter.follow(turn);
    const mine = this.#mine(frames);
    if (mine.length === 0) return this.#exchange.fail(duplicateError());
    this.#stream = openEventStream(this.#exchange, this.#parts);
    this.#stream.replay(mine);
    this.#endWithTurn();
    return undefined;
  }

  gone(code: number, reason: string, error = errorOfClose(code, reason)): void {
    if (this.#stream) this.#stream.fail(error);
    else this.#exchange.fail(error);
  }

  #mine(frames: readonly OutFrame[]): OutFrame[] {
    return frames.filter((frame) => this.#filter.take(frame));
  }

  #endWithTurn(): void {
    if (this.#filter.state === 'ended') this.#stream?.end();
  }
}

export class JsonTurnReader implements TurnReader {
  readonly person: Person;
  seq = 0;
  readonly #exchange: Exchange;
  readonly #filter: TurnFilter;
  #result = new TurnResult([]);

  constructor(exchange: Exchange, messageId: string, person: Person) {
    this.person = person;
    this.#exchange = exchange;
    this.#filter = new TurnFilter(messageId);
  }

  get user(): string {
    return this.person.user;
  }

  get open(): boolean {
    return this.#exchange.open;
  }

  get turn(): number {
    return this.#filter.turn;
  }

  attached(frames: readonly OutFrame[]): void {
    this.#result = new TurnResult(openQuestionsIn(frames));
    const timer = setTimeout(() => this.#answerPending(), MAX_WAIT_MS);
    this.#exchange.onClose(() => clearTimeout(timer));
  }

  send(frames: readonly OutFrame[]): void {
    this.#take(frames);
    this.#settle();
  }

  again(turn: number, frames: readonly OutFrame[]): void {
    this.#filter.follow(turn);
    this.#result = new TurnResult(openQuestionsIn(frames));
    if (this.#take(frames) === 0) return this.#exchange.fail(duplicateError());
    this.#settle();
    return undefined;
  }

  gone(code: number, reason: string, error = errorOfClose(code, reason)): void {
    this.#exchange.fail(error);
  }

  /** Returns how many of them are the turn's own. */
  #take(frames: readonly OutFrame[]): number {
    let mine = 0;
    for (const frame of frames) {
      if (frame.seq === 0) continue;
      const isMine = this.#filter.take(frame);
      this.#result.take(frame, isMine);
      if (isMine) mine++;
    }
    return mine;
  }

  /** Runs after a whole batch, so that the client gets all approvals of one model answer together. */
  #settle(): void {
    if (this.#filter.state === 'waiting') return;
    const { outcome } = this.#result;
    if (outcome?.ok === true) this.#exchange.json(200, outcome.finished);
    else if (outcome) this.#exchange.fail(errorOfWire(outcome.error));
    else if (this.#result.pending.length > 0) this.#answerPending();
  }

  #answerPending(): void {
    this.#exchange.json(202, { turn: this.#filter.turn, pending: this.#result.pending });
  }
}

/** The first frame is `session:ready`, which lists the open questions. */
function openQuestionsIn(frames: readonly OutFrame[]): Pending[] {
  const [ready] = frames;
  return ready ? ((JSON.parse(ready.json) as { pending?: Pending[] }).pending ?? []) : [];
}

function duplicateError(): FairleadError {
  return new FairleadError(
    'ERR_DUPLICATE_MESSAGE',
    'a message with this id was accepted before, and its events are no longer in the log',
  );
}
