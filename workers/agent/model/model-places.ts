/**
 * Places of this thread's requests to the model. While nothing is short a place costs two operations on shared memory; else the main
 * thread says whose turn it is. Agent threads.
 */
import { onAbort, cancelled, pending, type Deferred } from '../../../src/shared/abort.js';
import type { Config } from '../../../src/shared/config.js';
import { FairleadError, isFairleadError } from '../../../src/shared/errors.js';
import { isLow, readRateLimits } from '../../../src/shared/rate-limits.js';
import type { Usage } from '../../../src/shared/protocol.js';
import type { ModelSlots } from '../../../src/shared/threads/model-slots.js';
import type {
  ModelCallAnswered,
  ModelCallAsk,
  ModelCallEnded,
  ModelCallLeft,
  ModelCallNews,
  ModelCallRefused,
  ModelCallWait,
} from '../contract/model-calls.js';
import type { ModelPlace } from './model.js';

/** The main thread, to which requests are told. */
export interface PlaceHost {
  ask(asked: ModelCallAsk): void;
  leave(left: ModelCallLeft): void;
  ended(ended: ModelCallEnded): void;
  refused(refused: ModelCallRefused): void;
  answered(answered: ModelCallAnswered): void;
}

export interface ModelPlacesOptions {
  thread: number;
  slots: ModelSlots;
  /** Both may change. */
  limits: Pick<Config['limits'], 'maxModelCalls' | 'modelWaitMs'>;
  host: PlaceHost;
}

export interface PlaceRequest {
  user: string;
  model: string;
  signal: AbortSignal;
  /** It waits, and why; told again when that changes, and without a reason when it waits no longer. */
  onWait?: (wait: ModelCallWait | undefined) => void;
}

/** A shorter wait is not worth a word. */
const TOLD_AFTER_MS = 200;
/** An API that refuses a request so often does not mean its rate. */
const MAX_REFUSALS = 8;
const FULL_MS = 10_000;

interface Waiting {
  request: PlaceRequest;
  deadline: number;
  granted: Deferred<void>;
  wait: ModelCallWait | undefined;
  isTold: boolean;
  /** The main thread has it in its line, or had. */
  isKnown: boolean;
}

export class ModelPlaces {
  readonly #options: ModelPlacesOptions;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;

  constructor(options: ModelPlacesOptions) {
    this.#options = options;
  }

  get #max(): number {
    return this.#options.limits.maxModelCalls || Infinity;
  }

  get #waitMs(): number {
    return this.#options.limits.modelWaitMs;
  }

  /** Without a wait; undefined where others come first. */
  tryTake(request: PlaceRequest): ModelPlace | undefined {
    const { thread, slots } = this.#options;
    if (slots.mustAsk || !slots.begin(thread, this.#max)) return undefined;
    return new Place(this, request, { deadline: performance.now() + this.#waitMs, isGranted: false });
  }

  /** ERR_CANCELLED; ERR_MODEL with a time to come back when its turn does not come within `limits.modelWaitMs`. */
  async take(request: PlaceRequest): Promise<ModelPlace> {
    if (request.signal.aborted) throw cancelled();
    const place = this.tryTake(request);
    if (place) return place;
    const deadline = performance.now() + this.#waitMs;
    await this.wait(request, { deadline, again: false });
    return new Place(this, request, { deadline, isGranted: true });
  }

  /** Whoever waits is cancelled. */
  close(): void {
    for (const { granted } of this.#waiting.values()) granted.reject(cancelled());
  }

  get host(): PlaceHost {
    return this.#options.host;
  }

  get slots(): ModelSlots {
    return this.#options.slots;
  }

  get thread(): number {
    return this.#options.thread;
  }

  /** From the main thread. */
  note({ granted, waits, full }: ModelCallNews): void {
    for (const id of granted) this.#waiting.get(id)?.granted.resolve();
    for (const { id, ...wait } of waits) {
      const waiting = this.#waiting.get(id);
      if (!waiting) continue;
      waiting.wait = wait;
      const comesTooLate =
        wait.reason === 'model_rate' && performance.now() + (wait.retryAfterMs ?? 0) > waiting.deadline;
      if (comesTooLate) waiting.granted.reject(lateError(wait));
      else if (waiting.isTold) waiting.request.onWait?.(wait);
    }
    for (const id of full) {
      const waiting = this.#waiting.get(id);
      if (waiting) waiting.isKnown = false;
      waiting?.granted.reject(
        new FairleadError('ERR_UNAVAILABLE', 'too many turns wait for the model', { retryAfterMs: FULL_MS }),
      );
    }
  }

  /** Resolves with a slot that is taken. */
  async wait(request: PlaceRequest, { deadline, again }: { deadline: number; again: boolean }): Promise<void> {
    const { thread, host } = this.#options;
    const { user, model, signal } = request;
    const id = this.#nextId++;
    const granted = pending<void>();
    const waiting: Waiting = { request, deadline, granted, wait: undefined, isTold: false, isKnown: true };
    this.#waiting.set(id, waiting);
    const leftMs = Math.max(0, deadline - performance.now());
    const late = setTimeout(() => granted.reject(lateError(waiting.wait)), leftMs);
    const tell = setTimeout(() => {
      waiting.isTold = true;
      if (waiting.wait) request.onWait?.(waiting.wait);
    }, TOLD_AFTER_MS);
    const stop = onAbort(signal, () => granted.reject(cancelled()));
    host.ask({ thread, id, user, model, again });
    try {
      await granted.promise;
    } catch (error) {
      if (waiting.isKnown) host.leave({ thread, id, model });
      throw error;
    } finally {
      this.#waiting.delete(id);
      clearTimeout(late);
      clearTimeout(tell);
      stop();
      if (waiting.isTold && waiting.wait) request.onWait?.(undefined);
    }
  }
}

/** From its taking to its end it counts as one request that runs, but while it waits after a refusal. */
class Place implements ModelPlace {
  readonly #places: ModelPlaces;
  readonly #request: PlaceRequest;
  readonly #deadline: number;
  #isGranted: boolean;
  #holds = true;
  #refusals = 0;

  constructor(
    places: ModelPlaces,
    request: PlaceRequest,
    { deadline, isGranted }: { deadline: number; isGranted: boolean },
  ) {
    this.#places = places;
    this.#request = request;
    this.#deadline = deadline;
    this.#isGranted = isGranted;
  }

  answered(headers: Pick<Headers, 'get'>): void {
    const { slots, host } = this.#places;
    const limits = readRateLimits(headers, Date.now());
    if (slots.mustAsk || limits.some(isLow)) host.answered({ model: this.#request.model, limits });
  }

  async refused(retryAfterMs: number | undefined, again: boolean): Promise<boolean> {
    const { model } = this.#request;
    this.#places.host.refused({ model, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
    this.end();
    if (!again || ++this.#refusals > MAX_REFUSALS) return false;
    if (performance.now() + (retryAfterMs ?? 0) > this.#deadline) return false;
    try {
      await this.#places.wait(this.#request, { deadline: this.#deadline, again: true });
    } catch (error) {
      if (isFairleadError(error, 'ERR_CANCELLED')) throw error;
      return false; // the refusal says more
    }
    this.#isGranted = true;
    this.#holds = true;
    return true;
  }

  end(usage?: Usage): void {
    if (!this.#holds) return;
    this.#holds = false;
    const { slots, thread, host } = this.#places;
    slots.end(thread);
    if (!slots.mustAsk) return;
    const tokens = usage && { input: usage.inputTokens + usage.cacheWriteTokens, output: usage.outputTokens };
    host.ended({ thread, model: this.#request.model, granted: this.#isGranted, ...(tokens && { tokens }) });
  }
}

function lateError(wait: ModelCallWait | undefined): FairleadError {
  const retryAfterMs = wait?.retryAfterMs;
  const options = retryAfterMs === undefined ? {} : { retryAfterMs };
  if (wait?.reason === 'model_rate') {
    return new FairleadError('ERR_MODEL', 'the model’s API is over its rate limit; try again later', options);
  }
  return new FairleadError('ERR_UNAVAILABLE', 'the model is busy with other turns; try again later', options);
}
