/** Delivers each session's events to its subscribers: each durable event once, in order. Main thread. */
import type { OutFrame, SessionFrames, SessionRef } from '../../workers/agent/contract/sessions.js';
import { errorToData, FairleadError } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import type { Person, Who } from '../shared/person.js';
import { CLOSE } from '../shared/protocol.js';
import type { Agents } from '../threads/agents.js';

/** A WebSocket, an SSE stream, or a request that waits for the end of its turn. */
export interface Subscriber {
  /** False once it has closed; then it must not be subscribed. */
  readonly open: boolean;
  readonly user: string;
  /** Whose credential it stands on: it closes when that ends. */
  readonly person: Person;
  /** The seq of the newest durable event that it was sent. The hub sets it. */
  seq: number;
  /** Gets the frames of one batch, in order. May unsubscribe meanwhile. */
  send(frames: readonly OutFrame[]): void;
  /** The session or the server has gone; `code` is a WebSocket close code. `error`: what HTTP answers instead of the error of that code. */
  gone(code: number, reason: string, error?: FairleadError): void;
}

/** Frames that may wait while a subscriber's missing events are read. Beyond that it is closed and reconnects with `after`. */
const MAX_WAITING_FRAMES = 10_000;
const SEQS_AT_ONCE = 500;

export class Hub {
  readonly #agents: Agents;
  readonly #log: Logger;
  /** Most sessions have one subscriber, which costs no Set. */
  readonly #bySession = new Map<string, Subscriber | Set<Subscriber>>();
  /** Subscribers whose missing events are being read, with the frames that wait for those. */
  readonly #behind = new Map<Subscriber, OutFrame[]>();

  constructor(agents: Agents, log: Logger) {
    this.#agents = agents;
    this.#log = log;
  }

  get sessions(): number {
    return this.#bySession.size;
  }

  subscribe(session: string, subscriber: Subscriber): void {
    const known = this.#bySession.get(session);
    if (known === undefined) this.#bySession.set(session, subscriber);
    else if (known instanceof Set) known.add(subscriber);
    else this.#bySession.set(session, new Set([known, subscriber]));
  }

  unsubscribe(session: string, subscriber: Subscriber): void {
    const known = this.#bySession.get(session);
    if (known === subscriber) this.#bySession.delete(session);
    else if (known instanceof Set && known.delete(subscriber) && known.size === 0) this.#bySession.delete(session);
    this.#behind.delete(subscriber);
  }

  subscribers(session: string): number {
    return this.#of(session).length;
  }

  deliver(batch: readonly SessionFrames[]): void {
    for (const { session, frames } of batch) {
      for (const subscriber of this.#of(session)) if (subscriber.open) this.#pass(session, subscriber, frames);
    }
  }

  /** `seq` is the session's newest event in the store: a subscriber that was not sent it has missed some. */
  noteSeq(session: string, seq: number): void {
    for (const subscriber of this.#of(session)) {
      if (subscriber.seq < seq && !this.#behind.has(subscriber)) void this.#catchUp(session, subscriber, []);
    }
  }

  /** After the death of an agent thread, events may be stored and not sent: subscribers that miss some get them. */
  async checkAll(isConcerned: (session: string) => boolean): Promise<void> {
    const sessions = [...this.#bySession.keys()].filter(isConcerned);
    for (let from = 0; from < sessions.length; from += SEQS_AT_ONCE) {
      const asked = sessions.slice(from, from + SEQS_AT_ONCE);
      const { seqs } = await this.#agents.request(asked[0]!, 'read-seqs', { sessions: asked });
      for (const [index, session] of asked.entries()) this.noteSeq(session, seqs[index] ?? 0);
    }
  }

  gone(session: string, code: number, reason: string): void {
    for (const subscriber of this.#of(session)) {
      this.#behind.delete(subscriber);
      subscriber.gone(code, reason);
    }
    this.#bySession.delete(session);
  }

  goneWhere(isGone: (session: string) => boolean, code: number, reason: string): void {
    for (const session of this.#bySession.keys()) if (isGone(session)) this.gone(session, code, reason);
  }

  /** Sends what is new. The frames nearly always continue where the last ones ended. */
  #pass(session: string, subscriber: Subscriber, frames: readonly OutFrame[]): void {
    const waiting = this.#behind.get(subscriber);
    if (waiting) {
      waiting.push(...frames);
      if (waiting.length > MAX_WAITING_FRAMES) this.#giveUp(session, subscriber);
      return;
    }
    const before = subscriber.seq;
    const gapAt = frames.findIndex(({ seq }) => {
      if (seq > subscriber.seq + 1) return true;
      if (seq === subscriber.seq + 1) subscriber.seq = seq;
      return false;
    });
    const next = gapAt < 0 ? frames : frames.slice(0, gapAt);
    // A thread that replaces a dead one may send events again.
    const fresh = next.some(({ seq }) => seq > 0 && seq <= before)
      ? next.filter(({ seq }) => seq === 0 || seq > before)
      : next;
    if (fresh.length > 0) subscriber.send(fresh);
    if (gapAt >= 0) void this.#catchUp(session, subscriber, frames.slice(gapAt));
  }

  async #catchUp(session: string, subscriber: Subscriber, waiting: OutFrame[]): Promise<void> {
    this.#behind.set(subscriber, waiting);
    try {
      const { user, seq } = subscriber;
      const { frames } = await this.#agents.request(
        session,
        'replay',
        { user, session, after: seq },
        { timeoutMs: REQUEST_TIMEOUT_MS },
      );
      if (this.#behind.get(subscriber) !== waiting) return; // it has unsubscribed
      this.#behind.delete(subscriber);
      if (!frames || frames.length === 0) return this.#giveUp(session, subscriber);
      this.#pass(session, subscriber, frames);
      if (subscriber.open && waiting.length > 0) this.#pass(session, subscriber, waiting);
    } catch (error) {
      this.#log.warn({ session, err: errorToData(error).message }, 'missed events could not be read');
      if (this.#behind.get(subscriber) === waiting) this.#giveUp(session, subscriber);
    }
  }

  /** Closes it: it reconnects with its last seq and gets the events then. */
  #giveUp(session: string, subscriber: Subscriber): void {
    this.unsubscribe(session, subscriber);
    subscriber.gone(CLOSE.draining, 'events were missed: reconnect with after');
  }

  /** A copy, since subscribers may leave while they are served. */
  #of(session: string): Subscriber[] {
    const known = this.#bySession.get(session);
    if (known === undefined) return [];
    return known instanceof Set ? [...known] : [known];
  }
}

export interface AttachOptions {
  user: string;
  session: string;
  who: Who;
  after?: number | undefined;
  resumed: boolean;
}

/** How long a request to an agent thread may take; the store's own deadline is shorter. */
export const REQUEST_TIMEOUT_MS = 30_000;
/** A restart saves the workspace, at the second try of a sandbox whose processes are stopped first. */
export const RESTART_TIMEOUT_MS = 150_000;

/**
 * Asks for what a new subscriber must see first, subscribes it, and hands the first frames to `receive`. No event can be
 * lost in between: the answer and later events come over one port in order, and only microtasks run between the answer's
 * arrival and `subscribe`. Rejects with the agent's code. A subscriber that has closed meanwhile is left out.
 */
export async function attach(
  { agents, hub }: { agents: Agents; hub: Hub },
  { user, session, who, after, resumed }: AttachOptions,
  subscriber: Subscriber,
  receive: (frames: readonly OutFrame[]) => void,
): Promise<void> {
  const { frames, seq } = await agents.request(
    session,
    'attach',
    { user, session, who, resumed, ...(after === undefined ? {} : { after }) },
    { timeoutMs: REQUEST_TIMEOUT_MS },
  );
  if (!subscriber.open) return;
  subscriber.seq = seq;
  hub.subscribe(session, subscriber);
  receive(frames);
}

/** The blocks that stream now, for a reader that skipped deltas. On failure none: the offsets then show the gap. */
export async function catchUpFrames(
  { agents, log }: { agents: Agents; log: Logger },
  of: SessionRef,
): Promise<OutFrame[]> {
  try {
    const { frames } = await agents.request(of.session, 'catch-up', of, { timeoutMs: REQUEST_TIMEOUT_MS });
    return frames;
  } catch (error) {
    if (!(error instanceof FairleadError)) throw error;
    log.debug({ session: of.session, code: errorToData(error).code }, 'no catch-up');
    return [];
  }
}
