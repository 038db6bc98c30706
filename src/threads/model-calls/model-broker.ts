/**
 * Says who may ask the model next, while something is short: round robin by user, over all agent threads. While nothing is short no
 * request comes here. Main thread.
 */
import { counter, gauge } from '../../shared/metrics.js';
import type { ModelSlots } from '../../shared/threads/model-slots.js';
import type {
  ModelCallAnswered,
  ModelCallAsk,
  ModelCallEnded,
  ModelCallLeft,
  ModelCallNews,
  ModelCallRefused,
  ModelCallWait,
} from '../../../workers/agent/contract/model-calls.js';
import { ModelLane } from './model-lane.js';
import { RoundRobin } from './round-robin.js';

export interface ModelBrokerOptions {
  slots: ModelSlots;
  /** See `limits.maxModelCalls`; it may change. */
  maxCalls: () => number;
  post: (thread: number, news: ModelCallNews) => void;
  /** Most that wait. */
  maxWaiting?: number;
  clock?: () => number;
}

/** A waiting request is some hundred bytes here. More than the turns of any machine. */
const MAX_WAITING = 50_000;
/** With something short the lanes are looked at so often, whatever happens. */
const LOOK_MS = 1_000;

/** One in the process, and several in tests. */
const brokers = new Set<ModelBroker>();
gauge('fairlead_model_calls', 'Requests to the model that run', [], (own) => own.set(sum(({ running }) => running)));
gauge('fairlead_model_calls_waiting', 'Requests to the model that wait for their turn', [], (own) =>
  own.set(sum(({ waiting }) => waiting)),
);
const refusals = counter('fairlead_model_rate_refusals_total', 'Requests that the model’s API refused for its rate');

function sum(of: (broker: ModelBroker) => number): number {
  return [...brokers].reduce((total, broker) => total + of(broker), 0);
}

interface Waiter extends ModelCallAsk {
  /** It could not begin at once. */
  waits: boolean;
}

export class ModelBroker {
  readonly #options: ModelBrokerOptions & { maxWaiting: number; clock: () => number };
  readonly #slots: ModelSlots;
  readonly #waiters = new RoundRobin<Waiter>();
  readonly #byId = new Map<string, Waiter>();
  /** How many wait, by model. */
  readonly #wanted = new Map<string, number>();
  readonly #lanes = new Map<string, ModelLane>();
  #news = new Map<number, ModelCallNews>();
  #timer: NodeJS.Timeout | undefined;
  /** Mean time between two grants while some wait. */
  #grantMs: number | undefined;
  #grantedAt = 0;
  #closed = false;

  constructor(options: ModelBrokerOptions) {
    this.#options = { maxWaiting: MAX_WAITING, clock: () => performance.now(), ...options };
    this.#slots = options.slots;
    brokers.add(this);
  }

  get #max(): number {
    return this.#options.maxCalls() || Infinity;
  }

  get running(): number {
    return this.#slots.total;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  ask(asked: ModelCallAsk): void {
    if (this.#waiters.size >= this.#options.maxWaiting) {
      this.#of(asked.thread).full.push(asked.id);
      return this.#flush();
    }
    const waiter: Waiter = { ...asked, waits: false };
    if (this.#waiters.size === 0) this.#grantedAt = this.#options.clock();
    this.#waiters.add(waiter, waiter.again);
    this.#byId.set(keyOf(waiter), waiter);
    this.#wanted.set(waiter.model, (this.#wanted.get(waiter.model) ?? 0) + 1);
    // From here on whoever ends a request tells it, and what has ended before shows in the slots.
    this.#slots.mustAsk = true;
    this.#pump();
    if (!this.#byId.has(keyOf(waiter))) return;
    waiter.waits = true;
    this.#tellWait(waiter);
    this.#flush();
  }

  /** One that is not known was let begin meanwhile, and its thread did not notice. */
  leave(left: ModelCallLeft): void {
    const { thread, model } = left;
    const waiter = this.#byId.get(keyOf(left));
    if (waiter) this.#forget(waiter);
    else {
      this.#slots.end(thread);
      this.#lane(model).end({ thread }, true);
    }
    this.#pump();
  }

  ended(ended: ModelCallEnded): void {
    this.#lane(ended.model).end(ended, ended.granted);
    this.#pump();
  }

  refused({ model, retryAfterMs }: ModelCallRefused): void {
    refusals.inc();
    const now = this.#options.clock();
    this.#lane(model).refused(retryAfterMs, this.#slots.total, now);
    this.#slots.mustAsk = true;
    for (const waiter of this.#waiters.all()) if (waiter.model === model) this.#tellWait(waiter);
    this.#pump();
  }

  answered({ model, limits }: ModelCallAnswered): void {
    this.#lane(model).answered(limits, this.#options.clock());
    this.#pump();
  }

  /** The thread has died, with what it asked and what ran in it. */
  threadEnded(thread: number): void {
    const gone = [...this.#byId.values()].filter((waiter) => waiter.thread === thread);
    for (const waiter of gone) this.#forget(waiter);
    for (const lane of this.#lanes.values()) lane.threadEnded(thread);
    this.#news.delete(thread);
    this.#slots.clear(thread);
    this.#pump();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    brokers.delete(this);
  }

  /** Lets begin whoever may, and says when to look again. */
  #pump(): void {
    const now = this.#options.clock();
    for (;;) {
      const waits = new Map<string, number>();
      const waitOf = ({ model }: Waiter): number => {
        const known = waits.get(model) ?? this.#lane(model).waitMs(now);
        waits.set(model, known);
        return known;
      };
      const waiter = this.#waiters.next((each) => waitOf(each) <= 0);
      if (!waiter) {
        this.#look(now, Math.min(...waits.values()));
        break;
      }
      if (!this.#slots.begin(waiter.thread, this.#max)) {
        this.#look(now, LOOK_MS);
        break;
      }
      this.#grant(waiter, now);
    }
    this.#flush();
  }

  #grant(waiter: Waiter, now: number): void {
    this.#waiters.serve(waiter);
    this.#forget(waiter);
    this.#lane(waiter.model).begin(waiter.thread);
    this.#of(waiter.thread).granted.push(waiter.id);
    const ms = now - this.#grantedAt;
    if (waiter.waits) this.#grantMs = this.#grantMs === undefined ? ms : this.#grantMs + (ms - this.#grantMs) / 8;
    this.#grantedAt = now;
  }

  #look(now: number, waitMs: number): void {
    clearTimeout(this.#timer);
    for (const [model, lane] of this.#lanes) {
      const isWanted = this.#wanted.has(model);
      if (lane.isFree(now, isWanted) && !isWanted) this.#lanes.delete(model);
    }
    const isShort = this.#waiters.size > 0 || this.#lanes.size > 0;
    this.#slots.mustAsk = isShort;
    if (!isShort || this.#closed) return;
    this.#timer = setTimeout(() => this.#pump(), Math.max(1, Math.min(LOOK_MS, Math.ceil(waitMs))));
    this.#timer.unref();
  }

  #tellWait(waiter: Waiter): void {
    const { thread, id } = waiter;
    this.#of(thread).waits.push({ id, ...this.#waitOf(waiter) });
  }

  #waitOf(waiter: Waiter): ModelCallWait {
    const laneMs = this.#lane(waiter.model).waitMs(this.#options.clock());
    if (laneMs > 0) {
      return { reason: 'model_rate', ...(laneMs === Infinity ? {} : { retryAfterMs: Math.ceil(laneMs) }) };
    }
    if (this.#grantMs === undefined) return { reason: 'fairness' };
    return { reason: 'fairness', retryAfterMs: Math.ceil((this.#waiters.ahead(waiter) + 1) * this.#grantMs) };
  }

  #forget(waiter: Waiter): void {
    this.#waiters.remove(waiter);
    this.#byId.delete(keyOf(waiter));
    const left = (this.#wanted.get(waiter.model) ?? 0) - 1;
    if (left > 0) this.#wanted.set(waiter.model, left);
    else this.#wanted.delete(waiter.model);
  }

  #lane(model: string): ModelLane {
    const known = this.#lanes.get(model);
    if (known) return known;
    const lane = new ModelLane();
    this.#lanes.set(model, lane);
    return lane;
  }

  #of(thread: number): ModelCallNews {
    const known = this.#news.get(thread);
    if (known) return known;
    const news: ModelCallNews = { granted: [], waits: [], full: [] };
    this.#news.set(thread, news);
    return news;
  }

  #flush(): void {
    if (this.#news.size === 0) return;
    const all = this.#news;
    this.#news = new Map();
    for (const [thread, news] of all) this.#options.post(thread, news);
  }
}

function keyOf({ thread, id }: Pick<ModelCallAsk, 'thread' | 'id'>): string {
  return `${thread} ${id}`;
}
