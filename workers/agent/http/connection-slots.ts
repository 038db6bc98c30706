/**
 * Slots for HTTP exchanges with one server, one for each connection that it may have. Agent threads.
 *
 * A legacy server asks in the middle of a call, and our answer is an exchange of its own. Calls therefore leave a few slots
 * to answers, cancellations and session ends, which else would wait behind the very calls that wait for them.
 */
import { WaitQueue } from './wait-queue.js';

/** call: a request and its response; control: everything else that is short; stream: a GET that stays open. */
export type SlotKind = 'call' | 'control' | 'stream';

/** The owner of a stream that stays open. */
export interface StreamHolder {
  /** No call runs that might need the stream. */
  isIdle(): boolean;
  /** The stream is closed to free its slot for another. */
  onEvict(): void;
  /** The slot is free again, for whatever reason. */
  onEnd(): void;
}

type Release = () => void;

export class ConnectionSlots {
  readonly #max: number;
  readonly #forCalls: number;
  readonly #forStreams: number;
  readonly #waiting: Record<'call' | 'control' | 'turn', WaitQueue<Release>>;
  /** Oldest first. */
  readonly #holders = new Map<StreamHolder, Release>();
  #open = 0;
  /** Calls and streams: both stay open for as long as the server likes. */
  #long = 0;
  #streams = 0;
  #turns = 0;

  constructor(server: string, max: number) {
    this.#max = Math.max(2, max);
    this.#forCalls = this.#max - Math.max(1, Math.floor(this.#max / 10));
    this.#forStreams = Math.floor(this.#forCalls / 2);
    this.#waiting = { call: new WaitQueue(server), control: new WaitQueue(server), turn: new WaitQueue(server) };
  }

  /** Does not wait: closes an idle stream where needed, and returns undefined when no slot is free even then. */
  tryStream(holder: StreamHolder): Release | undefined {
    if (!this.#hasStream()) this.#evict();
    if (!this.#hasStream()) return undefined;
    const release = this.#take('stream');
    const leave = (): void => {
      if (!this.#holders.delete(holder)) return;
      release();
      holder.onEnd();
    };
    this.#holders.set(holder, leave);
    return leave;
  }

  /** Waits for a slot; resolves with the function that releases it. Rejects as `WaitQueue.wait`. */
  async acquire(slot: 'call' | 'control', signal: AbortSignal): Promise<Release> {
    if (slot === 'call' && !this.#isFree(slot)) this.#evict();
    return this.#isFree(slot) ? this.#take(slot) : this.#waiting[slot].wait(signal);
  }

  /** For a tool call that needs a stream beside it: limits how many run at once to the streams that can be open. */
  async acquireTurn(signal: AbortSignal): Promise<Release> {
    return this.#hasTurn() ? this.#takeTurn() : this.#waiting.turn.wait(signal);
  }

  /** One stream is left to the listener for list changes. */
  #hasTurn(): boolean {
    return this.#turns < Math.max(1, this.#forStreams - 1);
  }

  #takeTurn(): Release {
    this.#turns++;
    return releaseOnce(() => {
      this.#turns--;
      if (this.#hasTurn()) this.#waiting.turn.next(() => this.#takeTurn());
    });
  }

  #hasStream(): boolean {
    return this.#streams < this.#forStreams && this.#isFree('stream');
  }

  #evict(): void {
    for (const [holder, leave] of this.#holders) {
      if (!holder.isIdle()) continue;
      holder.onEvict();
      leave();
      return;
    }
  }

  #isFree(slot: SlotKind): boolean {
    return this.#open < this.#max && (slot === 'control' || this.#long < this.#forCalls);
  }

  #take(slot: SlotKind): Release {
    this.#open++;
    if (slot !== 'control') this.#long++;
    if (slot === 'stream') this.#streams++;
    return releaseOnce(() => {
      this.#open--;
      if (slot !== 'control') this.#long--;
      if (slot === 'stream') this.#streams--;
      for (const next of ['control', 'call'] as const) {
        if (this.#isFree(next)) this.#waiting[next].next(() => this.#take(next));
      }
    });
  }
}

function releaseOnce(work: () => void): Release {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    work();
  };
}
