/** The only writer of a session: gives events their seqs, commits steps in order, and only then sends them to clients. Agent threads. */
import { FairleadError } from '../../../src/shared/errors.js';
import type { DurableEvent } from '../../../src/shared/protocol.js';
import type { Commit, CommitResult, HistorySize, SessionRow, Store, TranscriptMessage } from '../store/store.js';
import { durableFrame } from './frames.js';
import { sizeAfter, sizeOf } from './history-size.js';
import { readInSlices } from './history-slices.js';
import type { Outbox } from './outbox.js';
import { wakeAtOf } from './progress.js';

/** What a plan commits: events without seq, and all that must be written with them. */
export interface Step extends Omit<Commit, 'events' | 'wakeAt'> {
  events: DurableEvent[];
  /** A turn runs once this is committed: the transcript is read together with the commit, not after it. */
  startsTurn?: boolean;
}

/** A history up to this size is read at once, and before it is known whether the message is a duplicate. */
const SMALL_BYTES = 256 * 1024;

export class SessionLog {
  readonly row: SessionRow;
  readonly #store: Store;
  readonly #outbox: Outbox;
  readonly #onFailure: (error: unknown) => void;
  #tail: Promise<unknown> = Promise.resolve();
  #queued = 0;
  /** The wake-up that the store has; undefined: unknown. */
  #wakeAt: number | null | undefined;
  #failure: FairleadError | undefined;
  /** Kept once a turn has read it. */
  #transcript: TranscriptMessage[] | undefined;
  /** The history before the newest messages, while it is being read, and those messages. */
  #early: { history: Promise<TranscriptMessage[] | undefined>; messages: TranscriptMessage[] } | undefined;

  /** `takenOver`: the session was another server's, so its wake-up is unknown. */
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

  /** Stops all writing: queued steps reject with `error`. */
  fail(error: FairleadError): void {
    this.#failure ??= error;
  }

  /**
   * Runs `plan` once all earlier steps are committed, so that it sees their row, and commits what it returns; undefined commits
   * nothing. A plan that throws fails only its caller. A step that the store rejects fails the log for good: whether it was
   * written is unknown, and the session must be read again.
   */
  commit(plan: () => Step | undefined): Promise<CommitResult> {
    return this.#enqueue(async () => {
      const step = plan();
      return step ? this.#write(step) : { ok: true };
    });
  }

  /** Resolves when all steps so far are committed or have failed. */
  async settled(): Promise<void> {
    await this.#tail;
  }

  /** Runs `read` between two steps, so that it finds in the store what the row says. */
  between<T>(read: () => Promise<T>): Promise<T> {
    return this.#enqueue(read);
  }

  /** The transcript after all steps so far. It is read once, passed through `prepare`, then kept up to date. */
  async transcript(prepare: (messages: TranscriptMessage[]) => TranscriptMessage[]): Promise<TranscriptMessage[]> {
    if (this.#transcript) return this.#transcript;
    await this.#tail;
    const early = this.#early;
    const history = await early?.history;
    const whole = early && history ? [...history, ...early.messages] : await this.#readWhole();
    this.#early = undefined;
    this.#transcript = prepare(whole);
    return this.#transcript;
  }

  /** The history's size; it is read whole once, where it is from before sizes were kept. */
  async measured(): Promise<HistorySize> {
    const { row } = this;
    if (!row.history) {
      await this.#enqueue(async () => {
        row.history ??= sizeOf(await readInSlices(this.#store, row.session));
      });
    }
    return row.history!;
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
    // Called before the commit in the same tick: a read never sees a write that is called after it.
    const early = startsTurn && !this.#transcript && this.#isSmall ? this.#readEarly() : undefined;
    let { seq } = row;
    const events = step.events.map((event) => durableFrame(event, ++seq));
    const wakeAt = step.row?.openTurns ? wakeAtOf({ openTurns: step.row.openTurns }) : this.#wakeAt;
    const history = sizeAfter(row.history, step);
    let result: CommitResult;
    try {
      result = await this.#store.commit(row.session, {
        ...step,
        ...(history && history !== row.history && { row: { ...step.row, history } }),
        events,
        ...(wakeAt === this.#wakeAt || wakeAt === undefined ? {} : { wakeAt }),
      });
    } catch (error) {
      this.fail(
        error instanceof FairleadError
          ? error
          : new FairleadError('ERR_UNAVAILABLE', 'the store rejected a step', { cause: error, retryAfterMs: 1000 }),
      );
      this.#onFailure(error);
      throw this.#failure!;
    }
    if (!result.ok) return result;
    this.#wakeAt = wakeAt;
    Object.assign(row, step.row, { seq }, history && { history });
    if (step.clearHistory) this.#transcript = this.#transcript && [];
    if (step.messages) this.#transcript?.push(...step.messages);
    if (step.messages || step.clearHistory) {
      this.#early = early && step.messages && { history: early, messages: step.messages };
    }
    for (const event of events) this.#outbox.push(row.session, event);
    return result;
  }

  get #isSmall(): boolean {
    const { history } = this.row;
    return history !== undefined && history.bytes <= SMALL_BYTES;
  }

  #readWhole(): Promise<TranscriptMessage[]> {
    const { session } = this.row;
    return this.#isSmall ? this.#store.readHistory(session) : this.between(() => readInSlices(this.#store, session));
  }

  /** Undefined when the read fails: then `transcript` reads again, and that failure is the turn's. */
  async #readEarly(): Promise<TranscriptMessage[] | undefined> {
    return this.#store.readHistory(this.row.session).catch(() => undefined);
  }
}
