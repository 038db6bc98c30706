/**
 * Slots for HTTP exchanges with one server, one for each connection that it may have from the process. A connection that is kept
 * alive after its exchange keeps its slot: this thread's next exchange takes that, and a thread that lacks one has it closed. Agent
 * threads.
 *
 * A legacy server asks in the middle of a call, and our answer is an exchange of its own. Calls therefore leave a few slots
 * to answers, cancellations and session ends, which else would wait behind the very calls that wait for them.
 */
import { MAX_SLOTS, type SlotCount, type SlotCounts } from '../../../src/shared/threads/shared-slots.js';
import { ownSlots, type SharedSlots } from './slot-wakes.js';
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

const COUNTED: Record<SlotKind | 'turn', readonly [SlotCount, ...SlotCount[]]> = {
  call: ['open', 'long'],
  control: ['open'],
  stream: ['open', 'long', 'streams'],
  turn: ['turns'],
};
/** A slot that was left to another thread and that nobody there took. */
const LEFT_MS = 2;

export class ConnectionSlots {
  readonly #max: number;
  readonly #forCalls: number;
  readonly #forStreams: number;
  readonly #waiting: Record<'call' | 'control' | 'turn', WaitQueue<Release>>;
  /** Oldest first. */
  readonly #holders = new Map<StreamHolder, Release>();
  /** The counts of all threads: the limit is the process's. */
  readonly #shared: SharedSlots;
  /** Closes the connections of this thread on which nothing runs. */
  readonly #closeIdle: () => void;
  readonly #unlisten: () => void;
  /** The next free slot is for another thread, where one waits. */
  #yields = false;
  /** Exchanges of this thread. */
  #running = 0;
  /** Connections of this thread, those too on which nothing runs. */
  #connections = 0;

  constructor(
    server: string,
    max: number,
    { shared = ownSlots(), closeIdle = () => undefined }: { shared?: SharedSlots; closeIdle?: () => void } = {},
  ) {
    this.#max = Math.min(MAX_SLOTS, Math.max(2, max));
    this.#forCalls = this.#max - Math.max(1, Math.floor(this.#max / 10));
    this.#forStreams = Math.floor(this.#forCalls / 2);
    this.#waiting = { call: new WaitQueue(server), control: new WaitQueue(server), turn: new WaitQueue(server) };
    this.#shared = shared;
    this.#closeIdle = closeIdle;
    this.#unlisten = shared.listen((wake) => {
      if (wake === 'freed') return this.#serve();
      if (this.#kept > 0) this.#closeIdle();
      else this.#evict();
    });
  }

  /** Other threads are heard no more; what is held is given back when it ends. */
  close(): void {
    this.#unlisten();
  }

  connected(): void {
    this.#connections++;
    const { ledger } = this.#shared;
    if (this.#connections <= ledger.own.open) return;
    // One to another origin than those that are kept.
    if (!ledger.take(['open'], ({ open }) => open < this.#max)) this.#closeIdle();
  }

  disconnected(): void {
    this.#connections--;
    if (this.#giveKept()) this.#freed();
  }

  /** Does not wait: closes an idle stream where needed, and returns undefined when no slot is free even then. */
  tryStream(holder: StreamHolder): Release | undefined {
    const release = this.#take('stream') ?? (this.#evict() ? this.#take('stream') : undefined);
    if (!release) {
      this.#wantFromOthers();
      return undefined;
    }
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
    return this.#takeInLine(slot) ?? (slot === 'call' ? this.#makeRoom() : undefined) ?? this.#wait(slot, signal);
  }

  /** For a tool call that needs a stream beside it: limits how many run at once to the streams that can be open. */
  async acquireTurn(signal: AbortSignal): Promise<Release> {
    return this.#takeInLine('turn') ?? this.#wait('turn', signal);
  }

  async #wait(slot: 'call' | 'control' | 'turn', signal: AbortSignal): Promise<Release> {
    const { ledger } = this.#shared;
    ledger.noteWaiting(1);
    try {
      // Again: one that was freed before another thread could see that this one waits.
      const found = this.#takeInLine(slot);
      if (found) return found;
      this.#wantFromOthers();
      return await this.#waiting[slot].wait(signal);
    } finally {
      ledger.noteWaiting(-1);
    }
  }

  /** Who waits longer comes first. */
  #takeInLine(slot: 'call' | 'control' | 'turn'): Release | undefined {
    return this.#waiting[slot].length === 0 ? this.#take(slot) : undefined;
  }

  #makeRoom(): Release | undefined {
    if (this.#evict()) return this.#takeInLine('call');
    this.#wantFromOthers();
    return undefined;
  }

  /** Slots of this thread on which nothing runs. */
  get #kept(): number {
    return this.#shared.ledger.own.open - this.#running;
  }

  /** False: every slot is on an exchange, or has a connection that is kept. */
  #giveKept(): boolean {
    const { ledger } = this.#shared;
    let given = false;
    while (ledger.own.open > Math.max(this.#running, this.#connections)) {
      ledger.give(['open']);
      given = true;
    }
    return given;
  }

  /** Their idle streams, and connections on which nothing runs. */
  #wantFromOthers(): void {
    const { counts, own } = this.#shared.ledger;
    if (counts.streams > own.streams || (counts.open >= this.#max && counts.open > own.open))
      this.#shared.tell('wanted');
  }

  /** Closes the oldest idle stream. */
  #evict(): boolean {
    for (const [holder, leave] of this.#holders) {
      if (!holder.isIdle()) continue;
      holder.onEvict();
      leave();
      return true;
    }
    return false;
  }

  #take(slot: SlotKind | 'turn'): Release | undefined {
    const { ledger } = this.#shared;
    if (slot === 'turn') {
      if (!ledger.take(COUNTED.turn, (counts) => this.#isFree(slot, counts))) return undefined;
      return releaseOnce(() => {
        ledger.give(COUNTED.turn);
        this.#freed();
      });
    }
    const [open, ...others] = COUNTED[slot];
    const taken = this.#kept > 0 ? 1 : 0;
    const isFree = (counts: SlotCounts): boolean => this.#isFree(slot, { ...counts, open: counts.open - taken });
    if (!ledger.take(taken === 1 ? others : [open, ...others], isFree)) return undefined;
    this.#running++;
    return releaseOnce(() => {
      this.#running--;
      if (others.length > 0) ledger.give(others);
      this.#giveKept();
      if (this.#kept > 0 && ledger.othersWait) this.#closeIdle();
      this.#freed();
    });
  }

  #isFree(slot: SlotKind | 'turn', { open, long, streams, turns }: SlotCounts): boolean {
    // One stream is left to the listener for list changes.
    if (slot === 'turn') return turns < Math.max(1, this.#forStreams - 1);
    if (open >= this.#max || (slot !== 'control' && long >= this.#forCalls)) return false;
    return slot !== 'stream' || streams < this.#forStreams;
  }

  /** Where requests of other threads wait too, they get every second slot. */
  #freed(): void {
    const others = this.#shared.ledger.othersWait;
    this.#yields = others && !this.#yields;
    if (!this.#yields) this.#serve();
    if (!others) return;
    this.#shared.tell('freed');
    if (this.#yields) setTimeout(() => this.#serve(), LEFT_MS).unref();
  }

  #serve(): void {
    for (const slot of ['control', 'call', 'turn'] as const) {
      while (this.#waiting[slot].length > 0) {
        const release = this.#take(slot);
        if (!release) break;
        this.#waiting[slot].next(() => release);
      }
    }
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
