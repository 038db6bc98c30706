/** A session in memory: its queued turns, the running one, and what waits for the user. Agent threads. */
import { FairleadError } from '../../../src/shared/errors.js';
import { quotaError } from '../../../src/shared/quotas.js';
import type { Logger } from '../../../src/shared/log.js';
import type { Pending } from '../../../src/shared/protocol.js';
import type { OpenTurn, SessionRow, Store, TurnProgress } from '../store/store.js';
import type { AnswerApprovalRequest, SubmitMessageResult } from '../contract/sessions.js';
import { answerStep, judgeEdit, type AnswerPlan } from './answer.js';
import { takeLossNotes, type LossNotes } from '../log/losses.js';
import { LiveText } from '../turn/live-text.js';
import type { ServerAsks } from '../mcp/host/server-connection.js';
import { closeOverdue, type ClosedCalls } from './open-calls.js';
import {
  isSuspended,
  newProgress,
  pendingOf,
  runningTurn,
  pendingApprovals,
  withoutCalls,
  withProgress,
} from '../log/progress.js';
import { closeQuestions, ServerQuestions, type QuestionReply } from '../turn/questions.js';
import { Sampling } from './sampling.js';
import { jsonBytes, refuseWhenFull } from '../log/history-size.js';
import { SessionLog, type KnownSession, type Step } from '../log/session-log.js';
import { refuseModel } from '../model/refuse-model.js';
import { MessageContent } from './message-content.js';
import { repairTranscript } from '../model/repair-transcript.js';
import { AskedAhead } from '../turn/ask-model.js';
import { acceptStep, tooManyInFlight, type UserMessage } from './accept.js';
import { endStep, TurnDriver, type TurnDriverOptions } from './turn-driver.js';
import type { LoopEnd } from '../turn/turn-loop.js';
import type { AgentParts, TurnStop } from '../turn/turn.js';
import { gaveUp, storeWasAway } from './undriven.js';
import type { UserQuotas } from './user-quotas.js';

/** More than an answer has blocks: the answer after an interrupted one gets block numbers that were not streamed before. */
const SKIPPED_BLOCKS = 1_000;
/** A turn that crashes its thread each time it runs must come to an end. */
const MAX_RESUMED = 3;

export interface SessionDeps {
  store: Store;
  parts: AgentParts;
  quotas: UserQuotas;
  log: Logger;
  /** The store rejected a step: the session must leave memory and be read again. */
  onFailure: (session: Session, error: unknown) => void;
  /** The session may leave memory. */
  onIdle: (session: Session) => void;
}

/** How the session was found when it was opened. */
export interface SessionOpening {
  /** It was another server's until now. */
  takenOver: boolean;
  /** It was in memory when the store stopped answering; its running turn was stopped. */
  lostStore: boolean;
}

export class Session {
  readonly log: SessionLog;
  readonly questions: ServerQuestions;
  readonly #asks: ServerAsks;
  readonly #live = new LiveText();
  readonly #deps: SessionDeps;
  readonly #opening: SessionOpening;
  /** Number of handlers that use the session; above 0 it stays in memory. */
  #holds = 0;
  /** Messages that are being stored: they count as in flight already. */
  readonly #accepting = new Set<UserMessage>();
  readonly #content: MessageContent;
  /** Present while the running turn works; a suspended turn has none. */
  #driver: TurnDriver | undefined;
  /** Pause count; while it is above 0 no turn starts and messages are queued. A reset pauses while it runs, drain and close for good. */
  #pauses = 0;
  #draining = false;
  /** It was opened while no turn could start: what a crash has left open is still to be closed. */
  #unrecovered = false;

  constructor(known: KnownSession, deps: SessionDeps, opening: SessionOpening) {
    this.#deps = deps;
    this.#opening = opening;
    const onFailure = (error: unknown): void => {
      this.#driver?.stop('interrupted');
      deps.onFailure(this, error);
    };
    this.log = new SessionLog(known, {
      store: deps.store,
      outbox: deps.parts.outbox,
      onFailure,
      prepare: (messages) => repairTranscript(messages).messages,
      takenOver: opening.takenOver,
    });
    this.#content = new MessageContent(deps.parts);
    this.questions = new ServerQuestions(this.log, deps.parts.schemas);
    const sampling = new Sampling({ parts: deps.parts, log: this.log, questions: this.questions });
    this.#asks = {
      elicit: (question, signal) => this.questions.ask(question, signal),
      sample: (server, params, signal) => sampling.sample(server, params, signal),
    };
  }

  get id(): string {
    return this.log.row.session;
  }

  get row(): SessionRow {
    return this.log.row;
  }

  get idle(): boolean {
    return this.#holds === 0 && !this.#driver && this.#accepting.size === 0 && this.log.idle;
  }

  /** A turn works; one that waits for its user does not. */
  get works(): boolean {
    return this.#driver !== undefined;
  }

  hold(): void {
    this.#holds++;
  }

  release(): void {
    this.#holds--;
    this.#checkIdle();
  }

  pending(): Pending[] {
    return pendingOf(this.row);
  }

  snapshot(): ReturnType<LiveText['snapshot']> {
    return this.#live.snapshot();
  }

  /** Resumes the session after its last step, and closes calls that a crash interrupted. Writes nothing when nothing is open. */
  async recover(): Promise<void> {
    const { takenOver, lostStore } = this.#opening;
    if (takenOver) await this.log.commit(() => ({ events: [], row: { openTurns: this.row.openTurns } }));
    const running = runningTurn(this.row);
    if (!running) return this.#goOn();
    this.#unrecovered = this.#pauses > 0;
    if (this.#unrecovered) return this.#checkIdle();
    if (isSuspended(running)) {
      await this.log.commit(() => this.#lostQuestionsStep());
      return this.expire();
    }
    if (lostStore) return this.#endUndriven(running.turn, storeWasAway());
    const { resumed, blocks, calls } = running.progress;
    if (resumed >= MAX_RESUMED) return this.#endUndriven(running.turn, gaveUp());
    const change = { resumed: resumed + 1, ...(calls.length === 0 ? { blocks: blocks + SKIPPED_BLOCKS } : {}) };
    await this.log.commit(() => this.#closeStep(closeOverdue(this.row, true), { change, lost: true }));
    this.#goOn();
  }

  /** Denies calls whose deadline has passed. */
  async expire(): Promise<void> {
    const now = Date.now();
    if (!pendingApprovals(this.row).some(({ expiresAt }) => expiresAt <= now)) return;
    await this.log.commit(() => this.#closeStep(closeOverdue(this.row, false)));
    this.#goOn();
  }

  /** Resolves when the message is in the store. ERR_TOO_MANY_REQUESTS, ERR_QUOTA, ERR_HISTORY_FULL, ERR_BAD_IMAGE. */
  async submit(message: UserMessage): Promise<SubmitMessageResult> {
    const { quotas } = this.#deps;
    const { user } = this.row;
    const { limits, store } = this.#deps.parts.config;
    const { maxInFlight } = limits;
    if (!this.row.history) await this.log.measured();
    // Duplicates come before the limit: a client that repeats a message in flight must not be told that there are too many.
    // A message that is being stored counts too; once it is stored, the row knows its id.
    const twice = message.id !== undefined && [...this.#accepting].some(({ id }) => id === message.id);
    if (twice) await this.#content.settled().then(() => this.log.settled());
    const open = message.id !== undefined && this.row.openTurns.find(({ id }) => id === message.id);
    if (open) return { turn: open.turn, queued: 0, duplicate: true };
    refuseModel(this.#deps.parts.config, this.row.model, message.standing);
    if (this.row.openTurns.length + this.#accepting.size >= maxInFlight) throw tooManyInFlight(maxInFlight);
    this.#accepting.add(message);
    const begun: { ahead?: AskedAhead } = {};
    try {
      const made = this.#content.make(message.content, { user, session: this.id, who: message.standing });
      const blocks = made instanceof Promise ? await made : made;
      const accepts = { ...quotas.of(user, message.standing.groups), bytes: jsonBytes(blocks) };
      refuseWhenFull(this.row, accepts.bytes, store.history.maxBytes);
      let accepted = { turn: 0, queued: 0 };
      const result = await this.log.commit(() => {
        const { row, log } = this;
        const { parts } = this.#deps;
        accepted = { turn: row.turns + 1, queued: row.openTurns.length };
        const startsNow = accepted.queued === 0 && this.#pauses === 0;
        const onStart: Step['onStart'] = (transcript) => {
          if (quotas.isNear(user)) return;
          begun.ahead = new AskedAhead(accepted.turn, { parts, log, who: message.standing }, transcript);
        };
        return { ...acceptStep(row, { ...message, blocks }, startsNow ? onStart : undefined), accepts };
      });
      if (!result.ok && 'over' in result) {
        quotas.noteRefused(user, result.over);
        throw quotaError(result.over);
      }
      if (!result.ok) return { turn: result.duplicateOf, queued: 0, duplicate: true };
      this.#goOn(begun.ahead);
      return { ...accepted, duplicate: false };
    } finally {
      if (this.#driver?.ahead !== begun.ahead) begun.ahead?.drop();
      this.#accepting.delete(message);
    }
  }

  /** ERR_CALL_CHANGED: the call is asked anew. ERR_DRAINING, and the errors of `answerStep`; then nothing has changed. */
  async answer(answer: AnswerApprovalRequest): Promise<void> {
    const { parts } = this.#deps;
    // A tool that has not been listed since the start cannot be compared with what was shown.
    if (answer.approved) await parts.catalogue.ready(this.row);
    await this.expire();
    const edit = await judgeEdit(this.row, answer, parts);
    let planned: AnswerPlan = { starts: [] };
    await this.log.commit(() => {
      // Checked inside the step: once the yes is stored, the call must run.
      if (this.#draining)
        throw new FairleadError('ERR_DRAINING', 'the server takes nothing new: it drains or stops', {
          retryAfterMs: 5_000,
        });
      planned = answerStep(this.row, answer, parts, edit);
      return planned.step;
    });
    if (planned.refusal) throw planned.refusal;
    // In the tick in which the step is committed: nothing else of this session has seen it yet.
    this.#goOn();
    for (const call of planned.starts) this.#driver?.startCall(call);
  }

  /** ERR_CALL_NOT_PENDING, ERR_TOOL_ARGS; then nothing has changed. */
  async answerQuestion(reply: QuestionReply): Promise<void> {
    await this.questions.answer(reply);
    this.#goOn(); // a call may have waited only for this answer
  }

  /** Tells clients what no turn has done; undefined: nothing. */
  async note(stepOf: (row: SessionRow) => Step | undefined): Promise<void> {
    await this.log.commit(() => stepOf(this.row));
  }

  /** For a tool result outside of a turn: what no result of this server has said yet. It counts as said. */
  takeLossNotes(server: string): Promise<LossNotes['content']> {
    return takeLossNotes(this.log, server);
  }

  /** Stops the running turn, if there is one; resolves when its `turn:end` is stored. */
  async cancel(): Promise<void> {
    const running = runningTurn(this.row);
    if (!running) return;
    const driver = this.#driver ?? this.#drive(running.turn);
    driver.stop('cancelled');
    await driver.done;
  }

  /** Stops the running turn and each turn in line: all have their `turn:end` when it resolves. */
  async cancelAll(): Promise<void> {
    for (let left = this.row.openTurns.length; left > 0 && !this.log.failed; left--) {
      await this.log.settled();
      if (!runningTurn(this.row)) {
        this.#goOn(); // a turn in line ends as every turn does: it starts, and is stopped
        await this.log.settled();
      }
      await this.cancel();
    }
  }

  /** Clears the history. The running turn is stopped first; queued turns run on the empty transcript. */
  async reset(): Promise<void> {
    this.#pauses++;
    try {
      await this.log.settled();
      await this.cancel();
      await this.log.commit(() => ({
        events: [{ type: 'history:cleared' }],
        clearHistory: true,
        row: { lastActiveAt: Date.now(), context: null, ...(this.row.withheld ? { withheld: [] } : {}) },
      }));
    } finally {
      this.#pauses--;
      this.#goOn();
    }
  }

  /** From now on no turn starts. */
  pause(): void {
    this.#pauses++;
    this.#draining = true;
  }

  /** Undoes one `pause`: what waits in line starts. */
  unpause(): void {
    this.#pauses--;
    this.#draining = this.#pauses > 0;
    if (this.#unrecovered && !this.#draining)
      void this.recover().catch(() => undefined); // the store’s failure is reported
    else this.#goOn();
  }

  /** From now on no turn starts. Resolves when the running one ends, or is suspended: then it goes on from the store. */
  async drain(): Promise<void> {
    this.pause();
    await this.rested();
  }

  /** Of a paused session: resolves when no turn works. */
  async rested(): Promise<void> {
    await this.log.settled(); // a message that is being stored may start a turn
    await this.#driver?.done;
  }

  /** From now on no turn starts, and the running one is stopped. */
  async close(stop: TurnStop): Promise<void> {
    this.pause();
    await this.log.settled();
    if (stop === 'cancelled') return this.cancel();
    this.#driver?.stop(stop);
    await this.#driver?.done;
  }

  /** Drives the running turn, unless it is suspended, or starts the next one in the queue. `ahead`: for the turn that runs. */
  #goOn(ahead?: AskedAhead): void {
    if (this.#driver || this.log.failed) return;
    const [first] = this.row.openTurns;
    if (this.#pauses > 0 || !first) return this.#checkIdle();
    if (first.progress) {
      if (isSuspended({ turn: first.turn, progress: first.progress })) return this.#checkIdle();
      this.#drive(first.turn, { ahead: ahead?.turn === first.turn ? ahead : undefined });
      return;
    }
    const { turn, waiting = [] } = first;
    const started = this.log.commit(() => ({
      events: [{ type: 'turn:start', turn }],
      messages: [{ role: 'user', content: waiting }],
      row: { openTurns: this.row.openTurns.map((open) => (open.turn === turn ? this.#begun(open) : open)) },
    }));
    this.#drive(turn, { started });
  }

  #begun({ waiting: _waiting, ...open }: OpenTurn): OpenTurn {
    return { ...open, progress: newProgress(this.row.model) };
  }

  #drive(turn: number, begun: Pick<TurnDriverOptions, 'started' | 'ahead'> = {}): TurnDriver {
    const { parts, log: logger } = this.#deps;
    this.#driver = new TurnDriver({
      turn,
      parts,
      log: this.log,
      live: this.#live,
      asks: this.#asks,
      questions: this.questions,
      logger,
      ...begun,
      onDone: (driver) => {
        if (this.#driver !== driver) return;
        this.#driver = undefined;
        this.#live.clear();
        this.questions.dropUnasked();
        this.#goOn();
      },
    });
    return this.#driver;
  }

  /** Closes questions that ended with their thread; the calls that wait stay open. */
  #lostQuestionsStep(): Step | undefined {
    const { events, openTurns } = closeQuestions(this.row, false, true);
    return events.length > 0 ? { events, row: { openTurns } } : undefined;
  }

  /** The step that closes these calls of the running turn. `lost`: its thread or server has died. */
  #closeStep(
    { events, messages, callIds }: ClosedCalls,
    { change = {}, lost = false }: { change?: Partial<TurnProgress>; lost?: boolean } = {},
  ): Step | undefined {
    const running = runningTurn(this.row);
    if (!running) return undefined;
    const openTurns = withProgress({ openTurns: withoutCalls(this.row, running.turn, callIds) }, running.turn, change);
    const questions = closeQuestions({ openTurns }, false, lost);
    return { events: [...events, ...questions.events], messages, row: { openTurns: questions.openTurns } };
  }

  async #endUndriven(turn: number, end: LoopEnd): Promise<void> {
    const { currency } = this.#deps.parts.config.prices;
    await this.log.commit(() => endStep(this.log, turn, { ...end, currency }));
    this.#goOn();
  }

  #checkIdle(): void {
    if (this.idle) this.#deps.onIdle(this);
  }
}
