/** The only writer of a session: gives events their seqs, commits steps in order, and only then sends them to clients. Agent threads. */
import { audit } from '../../../src/shared/audit.js';
import { FairleadError } from '../../../src/shared/errors.js';
import type { DurableEvent } from '../../../src/shared/protocol.js';
import type { CommitCount } from '../store/quota-counters.js';
import type { Commit, CommitResult, HistorySize, SessionRow, Store, TranscriptMessage } from '../store/store.js';
import { auditedStep, type StepAudit } from './audited-step.js';
import { durableFrame } from './frames.js';
import { sizeAfter, sizeOf } from './history-size.js';
import { readInSlices } from './history-slices.js';
import type { Outbox } from './outbox.js';
import { wakeAtOf } from './progress.js';

/** What a plan commits: events without seq, and all that must be written with them. */
export interface Step extends Omit<Commit, 'events' | 'wakeAt' | 'count'> {
  events: DurableEvent[];
  /** The step accepts a message: the limits that it must keep. */
  accepts?: CommitCount['accepts'];
  /**
   * A turn runs once this is committed. It is called just before the commit is sent, with the transcript as it is after the step;
   * undefined: it could not be read. It is not called where that would read a long history, or for a message that may be a
   * repetition.
   */
  onStart?: (transcript: Promise<readonly TranscriptMessage[] | undefined>) => void;
  audit?: StepAudit;
}

type Transcript = TranscriptMessage[];

/** What a log knows of its session. A later log of the same session that is given it reads nothing. */
export interface KnownSession {
  row: SessionRow;
  /** Prepared. */
  transcript?: Transcript | undefined;
  /** Ids of the newest accepted messages. */
  ids?: readonly string[];
}

export interface SessionLogDeps {
  store: Store;
  outbox: Outbox;
  onFailure: (error: unknown) => void;
  /** Makes a transcript that was read fit for the model; once for each read. */
  prepare?: (messages: Transcript) => Transcript;
  /** The session was another server's, so its wake-up is unknown. */
  takenOver?: boolean;
}

/** A history up to this size is read at once, and before it is known whether the message is a duplicate. */
const SMALL_BYTES = 256 * 1024;
/** A client repeats its newest messages only. */
const MAX_IDS = 16;

export class SessionLog {
  readonly row: SessionRow;
  readonly #deps: SessionLogDeps;
  #tail: Promise<unknown> = Promise.resolve();
  #queued = 0;
  /** The wake-up that the store has; undefined: unknown. */
  #wakeAt: number | null | undefined;
  #failure: FairleadError | undefined;
  /** Kept once a turn has read it. */
  #transcript: Transcript | undefined;
  /** The transcript after the newest step, while it is being read. */
  #early: Promise<Transcript | undefined> | undefined;
  readonly #ids: string[];

  constructor({ row, transcript, ids = [] }: KnownSession, deps: SessionLogDeps) {
    this.row = row;
    this.#transcript = transcript;
    this.#ids = [...ids];
    this.#deps = deps;
    this.#wakeAt = deps.takenOver ? undefined : wakeAtOf(row);
  }

  /** Undefined when a step is under way or has failed. */
  get known(): KnownSession | undefined {
    if (!this.idle || this.failed) return undefined;
    return { row: this.row, transcript: this.#transcript, ids: this.#ids };
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
  async transcript(): Promise<Transcript> {
    if (this.#transcript) return this.#transcript;
    await this.#tail;
    const early = await this.#early;
    this.#early = undefined;
    this.#transcript ??= early ?? this.#prepared(await this.#readWhole());
    return this.#transcript;
  }

  /** The history's size; it is read whole once, where it is from before sizes were kept. */
  async measured(): Promise<HistorySize> {
    const { row } = this;
    if (!row.history) {
      await this.#enqueue(async () => {
        row.history ??= sizeOf(await readInSlices(this.#deps.store, row.session));
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

  async #write({ onStart, accepts, audit: told, ...step }: Step): Promise<CommitResult> {
    if (this.#failure) throw this.#failure;
    const { row } = this;
    // Called before the commit in the same tick: a read never sees a write that is called after it.
    const early = onStart && this.#readEarly(step.messages ?? []);
    if (early && this.#isNew(step)) onStart(early);
    let { seq } = row;
    const events = step.events.map((event) => durableFrame(event, ++seq));
    const wakeAt = step.row?.openTurns ? wakeAtOf({ openTurns: step.row.openTurns }) : this.#wakeAt;
    const history = sizeAfter(row.history, step);
    const entries = auditedStep(row, step.events, told);
    let result: CommitResult;
    try {
      result = await this.#deps.store.commit(row.session, {
        ...step,
        ...(history && history !== row.history && { row: { ...step.row, history } }),
        events,
        count: { user: row.user, ...(accepts && { accepts }) },
        ...(wakeAt === this.#wakeAt || wakeAt === undefined ? {} : { wakeAt }),
      });
    } catch (error) {
      this.fail(
        error instanceof FairleadError
          ? error
          : new FairleadError('ERR_UNAVAILABLE', 'the store rejected a step', { cause: error, retryAfterMs: 1000 }),
      );
      this.#deps.onFailure(error);
      throw this.#failure!;
    }
    if (!result.ok) return result;
    for (const entry of entries) audit(entry);
    this.#wakeAt = wakeAt;
    Object.assign(row, step.row, { seq }, history && { history });
    if (step.accept) this.#ids.splice(0, Math.max(0, this.#ids.push(step.accept.id) - MAX_IDS));
    if (step.clearHistory) this.#transcript = this.#transcript && [];
    if (step.messages || step.clearHistory) this.#early = this.#transcript ? undefined : early;
    if (step.messages) this.#transcript?.push(...step.messages);
    for (const event of events) this.#deps.outbox.push(row.session, event);
    return result;
  }

  /** Whether no earlier message can have this one's id, as far as it is known here: the commit has the last word. */
  #isNew({ accept }: Step): boolean {
    if (!accept || this.row.turns === 0) return true;
    return this.#ids.length > 0 && !this.#ids.includes(accept.id);
  }

  get #isSmall(): boolean {
    const { history } = this.row;
    return history !== undefined && history.bytes <= SMALL_BYTES;
  }

  #readWhole(): Promise<Transcript> {
    const { session } = this.row;
    const { store } = this.#deps;
    return this.#isSmall ? store.readHistory(session) : this.between(() => readInSlices(store, session));
  }

  /**
   * The transcript with these messages added; undefined for a long one that is not known. It resolves with undefined when the read
   * fails: then `transcript` reads again, and that failure is the turn's.
   */
  #readEarly(added: readonly TranscriptMessage[]): Promise<Transcript | undefined> | undefined {
    if (this.row.history?.messages === 0) this.#transcript ??= [];
    if (this.#transcript) return Promise.resolve([...this.#transcript, ...added]);
    if (!this.#isSmall) return undefined;
    const read = this.#deps.store.readHistory(this.row.session);
    return read.then((messages) => this.#prepared([...messages, ...added])).catch(() => undefined);
  }

  #prepared(messages: Transcript): Transcript {
    return this.#deps.prepare?.(messages) ?? messages;
  }
}
