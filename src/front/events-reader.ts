/** Reader of all events of a session, for GET …/events. Main thread. */
import type { OutFrame, SessionRef } from '../../workers/agent/contract/sessions.js';
import type { Logger } from '../shared/log.js';
import type { Person } from '../shared/person.js';
import type { Agents } from '../threads/agents.js';
import type { Exchange } from './http.js';
import { catchUpFrames, type Subscriber } from './hub.js';
import { errorOfClose } from './problem.js';
import { EventStream, type Heartbeats } from './sse.js';

export interface StreamParts {
  agents: Agents;
  heartbeats: Heartbeats;
  maxUnsentBytes: number;
  log: Logger;
  of: SessionRef;
  person: Person;
}

export function openEventStream(exchange: Exchange, parts: StreamParts): EventStream {
  const { heartbeats, maxUnsentBytes, of } = parts;
  return new EventStream(exchange, { heartbeats, maxUnsentBytes, catchUp: () => catchUpFrames(parts, of) });
}

export class EventsReader implements Subscriber {
  readonly person: Person;
  seq = 0;
  readonly #exchange: Exchange;
  readonly #parts: StreamParts;
  #stream: EventStream | undefined;

  constructor(exchange: Exchange, parts: StreamParts) {
    this.person = parts.person;
    this.#exchange = exchange;
    this.#parts = parts;
  }

  get user(): string {
    return this.person.user;
  }

  get open(): boolean {
    return this.#exchange.open;
  }

  attached(frames: readonly OutFrame[]): void {
    this.#stream = openEventStream(this.#exchange, this.#parts);
    this.#stream.replay(frames);
  }

  send(frames: readonly OutFrame[]): void {
    this.#stream?.send(frames);
  }

  gone(code: number, reason: string, error = errorOfClose(code, reason)): void {
    if (this.#stream) this.#stream.fail(error);
    else this.#exchange.fail(error);
  }
}
