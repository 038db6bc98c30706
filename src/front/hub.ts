/** Who listens to which session, and the way events take to them. Main thread. */
import type { AgentHostContract, OutFrame } from '../../workers/agent/messages.js';
import { errorToData, FairleadError } from '../errors.js';
import type { Logger } from '../log.js';
import type { Agents } from './agents.js';

/** A WebSocket, an SSE stream, or a request that waits for its turn. */
export interface Subscriber {
  /** False once it has closed: it is not subscribed any more, nor may it be. */
  readonly open: boolean;
  /** The frames of one batch, in order. May unsubscribe. */
  send(frames: readonly OutFrame[]): void;
  /** The session, or the server, is no more; `code` is a WebSocket close code. */
  gone(code: number, reason: string): void;
}

type Batch = AgentHostContract['notifications']['frames']['batch'];

export class Hub {
  /** A session with one subscriber, the usual case, costs no Set. */
  readonly #bySession = new Map<string, Subscriber | Set<Subscriber>>();

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
  }

  subscribers(session: string): number {
    return this.#of(session).length;
  }

  deliver(batch: Batch): void {
    for (const { session, frames } of batch) {
      for (const subscriber of this.#of(session)) if (subscriber.open) subscriber.send(frames);
    }
  }

  gone(session: string, code: number, reason: string): void {
    for (const subscriber of this.#of(session)) subscriber.gone(code, reason);
    this.#bySession.delete(session);
  }

  /** A copy: subscribers leave while they are served. */
  #of(session: string): Subscriber[] {
    const known = this.#bySession.get(session);
    if (known === undefined) return [];
    return known instanceof Set ? [...known] : [known];
  }
}

export interface AttachOptions {
  user: string;
  session: string;
  after?: number | undefined;
  resumed: boolean;
}

/** What a request to an agent thread may take; the store's own deadline is shorter. */
export const REQUEST_TIMEOUT_MS = 30_000;

/**
 * Asks for what a new subscriber must see first and subscribes it. The answer and the events that follow it come over one
 * port in order, and between the answer's arrival and `subscribe` there are only microtasks: no event can slip between.
 * `receive` gets the first frames. Rejects with the agent's code; a subscriber that has closed meanwhile is left out.
 */
export async function attach(
  { agents, hub }: { agents: Agents; hub: Hub },
  { user, session, after, resumed }: AttachOptions,
  subscriber: Subscriber,
  receive: (frames: readonly OutFrame[]) => void,
): Promise<void> {
  const { frames } = await agents.request(
    session,
    'attach',
    { user, session, resumed, ...(after === undefined ? {} : { after }) },
    { timeoutMs: REQUEST_TIMEOUT_MS },
  );
  if (!subscriber.open) return;
  hub.subscribe(session, subscriber);
  receive(frames);
}

/** The blocks now streaming, for a reader that skipped some; without them its offsets show the gap. */
export async function catchUpFrames(
  { agents, log }: { agents: Agents; log: Logger },
  of: { user: string; session: string },
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
