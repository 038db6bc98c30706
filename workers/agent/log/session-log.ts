/** One session's writer: steps land in the store in order, get their seqs, and only then go to clients. Agent threads. */
import { FairleadError } from '../../../src/shared/errors.js';
import type { DurableEvent } from '../../../src/shared/protocol.js';
import type { Commit, CommitResult, SessionRow, Store, TranscriptMessage } from '../store/store.js';
import { durableFrame } from './frames.js';
import type { Outbox } from './outbox.js';
import { wakeAtOf } from './progress.js';

/** A step as its writer sees it: events without seq, and whatever else must land with them. */
export interface Step extends Omit<Commit, 'events' | 'wakeAt'> {
  events: DurableEvent[];
  /** A turn runs as soon as this has landed: the transcript is read on the way, not after. */
  startsTurn?: boolean;
}

export class SessionLog {
  readonly row: SessionRow;
  readonly #store: Store;
  readonly #outbox: Outbox;
  readonly #onFailure: (error: unknown) => void;
  #tail: Promise<unknown> = Promise.resolve();
  #queued = 0;
  /** What the store's index of wakeAt sessions has. */
  #wakeAt: number | null | undefined;
  #failure: FairleadError | undefined;
  /** The transcript, while a turn needs it. */
  #transcript: TranscriptMessage[] | undefined;
  /** The history as it was before the newest messages, being read, and those messages. */
  #early: { history: Promise<TranscriptMessage[] | undefined>; messages: TranscriptMessage[] } | undefined;

  /** `takenOver`: from another server, whose index it was in. */
  constructor(row: SessionRow, store: Store, outbox: Outbox, onFailure: (error: unknown) => void, takenOver = false) {
    this.row = row;
    this.#wakeAt = takenOver ? undefined : wakeAtOf(row);
    this.#store = store;
    this.#outbox = outbox;
    this.#onFailure = onFailure;
  }

  get idle(): boolean {
    return this.#queued === 0;
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** No step is written any more; those that wait reject with it. */
  fail(error: FairleadError): void {
    this.#failure ??= error;
  }

  /**
   * Runs `plan` when all earlier steps have landed, so that it sees their row, and writes what it returns. A step that
   * the store refuses fails the log for good: whether it was written is unknown, and only the store can tell. A plan that
   * throws fails its caller alone; one that finds nothing to do any more returns undefined.
   */
  commit(plan: () => Step | undefined): Promise<CommitResult> {
    return this.#enqueue(async () => {
      const step = plan();
      return step ? this.#write(step) : { ok: true };
    });
  }

  /** Resolves when all steps so far have landed, or failed. */
  async settled(): Promise<void> {
    await this.#tail;
  }

  /** Runs `read` between two steps, so that what it finds in the store is what the row says. */
  between<T>(read: () => Promise<T>): Promise<T> {
    return this.#enqueue(read);
  }

  /** The transcript with all steps so far. Read once, then kept up to date. */
  async transcript(prepare: (messages: TranscriptMessage[]) => TranscriptMessage[]): Promise<TranscriptMessage[]> {
    if (this.#transcript) return this.#transcript;
    await this.#tail;
    const early = this.#early;
    const history = await early?.history;
    const whole = early && history ? [...history, ...early.messages] : await this.#store.readHistory(this.row.session);
    this.#early = undefined;
    this.#transcript = prepare(whole);
    return this.#transcript;
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    this.#queued++;
    const result = this.#tail.then(work);
    this.#tail = result.then(
      () => void this.#queued--,
      () => void this.#queued--,
    );
    return result;
  }

  async #write({ startsTurn = false, ...step }: Step): Promise<CommitResult> {
    if (this.#failure) throw this.#failure;
    const { row } = this;
    // In the same breath, and before the step: a read sees nothing of a write that is called after it.
    const history = startsTurn && !this.#transcript ? this.#readEarly() : undefined;
    let { seq } = row;
    const events = step.events.map((event) => durableFrame(event, ++seq));
    const wakeAt = step.row?.openTurns ? wakeAtOf({ openTurns: step.row.openTurns }) : this.#wakeAt;
    let result: CommitResult;
    try {
      result = await this.#store.commit(row.session, {
        ...step,
        events,
        ...(wakeAt === this.#wakeAt || wakeAt === undefined ? {} : { wakeAt }),
      });
    } catch (error) {
      this.fail(
        error instanceof FairleadError
          ? error
          : new FairleadError('ERR_UNAVAILABLE', 'the store refused a step', { cause: error, retryAfterMs: 1000 }),
      );
      this.#onFailure(error);
      throw this.#failure!;
    }
    if (!result.ok) return result;
    this.#wakeAt = wakeAt;
    Object.assign(row, step.row, { seq });
    if (step.clearHistory) this.#transcript = this.#transcript && [];
    if (step.messages) this.#transcript?.push(...step.messages);
    if (step.messages || step.clearHistory) {
      this.#early = history && step.messages && { history, messages: step.messages };
    }
    for (const event of events) this.#outbox.push(row.session, event);
    return result;
  }

  /** undefined when it cannot be read: then it is read again, and that failure is the turn's. */
  async #readEarly(): Promise<TranscriptMessage[] | undefined> {
    return this.#store.readHistory(this.row.session).catch(() => undefined);
  }
}
