/** A session while something happens in it: turns in line, the running one, what waits for a person. Runs in agent threads. */
import { errorToData, FairleadError, publicMessage } from '../../src/errors.js';
import type { Logger } from '../../src/log.js';
import { counter, histogram, SECONDS_FAST, SECONDS_SLOW } from '../../src/metrics.js';
import type { DurableEvent, Pending, UserBlock } from '../../src/protocol.js';
import type { OpenTurn, SessionRow, Store } from '../../src/store/store.js';
import { Approvals, type Decision } from './approvals.js';
import type { Deadlines } from './deadlines.js';
import { LiveText } from './live-text.js';
import type { AgentContract } from './messages.js';
import { repairTranscript } from './model/repair-transcript.js';
import { toolKey } from './policy.js';
import { SessionLog, type Step } from './session-log.js';
import { startEvent } from './tool-calls.js';
import { runTurn, type LoopEnd } from './turn-loop.js';
import { titleOf, toModelBlock } from './user-content.js';
import { NO_USAGE, type AgentParts, type Turn, type TurnStop } from './turn.js';

const turnsTotal = counter('fairlead_turns_total', 'Turns by how they ended', ['stop_reason']);
const firstToken = histogram('fairlead_first_token_seconds', 'Turn start to the first streamed text', SECONDS_FAST);
const turnSeconds = histogram('fairlead_turn_seconds', 'Turn start to turn end', SECONDS_SLOW);

type Approval = AgentContract['requests']['answer-approval']['request'];

interface Running {
  turn: number;
  abort: AbortController;
  done: Promise<void>;
}

export interface SessionDeps {
  store: Store;
  parts: AgentParts;
  deadlines: Deadlines;
  log: Logger;
  /** The store refused a step: the session must leave memory and be read again. */
  onFailure: (session: Session, error: unknown) => void;
  /** Nothing happens here any more. */
  onIdle: (session: Session) => void;
}

export class Session {
  readonly log: SessionLog;
  readonly approvals: Approvals;
  readonly #live = new LiveText();
  readonly #deps: SessionDeps;
  /** Handlers at work in this session; while there are any it stays in memory. */
  #holds = 0;
  /** Messages being accepted: they count as in flight before the store knows them. */
  readonly #accepting = new Set<{ id?: string }>();
  #running: Running | undefined;
  /** Who wants that no turn starts, so that messages wait in line: each clearing of the history while it runs, a drain and a close for good. */
  #pauses = 0;
  #draining = false;

  constructor(row: SessionRow, deps: SessionDeps) {
    this.#deps = deps;
    this.log = new SessionLog(row, deps.store, deps.parts.outbox, (error) => {
      this.#running?.abort.abort('interrupted' satisfies TurnStop);
      deps.onFailure(this, error);
    });
    this.approvals = new Approvals(deps.deadlines);
  }

  get id(): string {
    return this.log.row.session;
  }

  get row(): SessionRow {
    return this.log.row;
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  get idle(): boolean {
    return this.#holds === 0 && !this.#running && this.#accepting.size === 0 && this.log.idle;
  }

  get waitsForApproval(): boolean {
    return this.approvals.size > 0;
  }

  hold(): void {
    this.#holds++;
  }

  release(): void {
    this.#holds--;
    this.#checkIdle();
  }

  pending(): Pending[] {
    return this.approvals.list();
  }

  snapshot(): ReturnType<LiveText['snapshot']> {
    return this.#live.snapshot();
  }

  /** What a crash left: the turn that ran is ended as interrupted, and those that waited in line run. */
  async recover(): Promise<void> {
    const [first] = this.row.openTurns;
    if (!first) return;
    if (first.waiting === undefined) {
      const { appended } = repairTranscript(await this.#deps.store.readHistory(this.id));
      await this.log.commit(() => ({
        events: [endEvent(first.turn, { stopReason: 'interrupted' }, { ...NO_USAGE }, 0, this.row.model)],
        messages: appended,
        row: { openTurns: this.row.openTurns.slice(1) },
      }));
      turnsTotal.inc({ stop_reason: 'interrupted' });
    }
    this.#pump();
  }

  /** Resolves when the message is in the store. ERR_TOO_MANY_REQUESTS. */
  async submit(message: {
    id?: string;
    content: UserBlock[];
  }): Promise<{ turn: number; queued: number; duplicate: boolean }> {
    const { maxInFlight } = this.#deps.parts.config.limits;
    // Before the limit: a client that sends again what is in flight must not be told that there is no room for it.
    // One that is being accepted counts as well, and is known when that is done.
    const twice = message.id !== undefined && [...this.#accepting].some(({ id }) => id === message.id);
    if (twice) await this.log.settled();
    const open = message.id !== undefined && this.row.openTurns.find(({ id }) => id === message.id);
    if (open) return { turn: open.turn, queued: 0, duplicate: true };
    if (this.row.openTurns.length + this.#accepting.size >= maxInFlight) {
      const told = `${maxInFlight} messages are in flight; wait for a turn to end`;
      throw new FairleadError('ERR_TOO_MANY_REQUESTS', told, { retryAfterMs: 1000 });
    }
    this.#accepting.add(message);
    try {
      const content = message.content.map(toModelBlock);
      let accepted = { turn: 0, queued: 0 };
      const result = await this.log.commit(() => {
        accepted = { turn: this.row.turns + 1, queued: this.row.openTurns.length };
        return this.#acceptStep(message, content, accepted);
      });
      if (!result.ok) return { turn: result.duplicateOf, queued: 0, duplicate: true };
      if (this.row.openTurns[0]?.turn === accepted.turn) this.#startOpen(accepted.turn);
      return { ...accepted, duplicate: false };
    } finally {
      this.#accepting.delete(message);
    }
  }

  /** A message that finds nobody ahead starts its turn in the step that accepts it: one write, not two. */
  #acceptStep(
    message: { id?: string; content: UserBlock[] },
    content: unknown[],
    { turn, queued }: { turn: number; queued: number },
  ): Step {
    const { id } = message;
    const { row } = this;
    const startsNow = queued === 0 && this.#pauses === 0;
    const openTurn: OpenTurn = { turn, ...(id === undefined ? {} : { id }) };
    const accepted: DurableEvent = { type: 'message:accepted', ...openTurn, queued };
    const shared = {
      ...(id === undefined ? {} : { accept: { id, turn } }),
      row: {
        turns: turn,
        lastActiveAt: Date.now(),
        openTurns: [...row.openTurns, { ...openTurn, ...(startsNow ? {} : { waiting: content }) }],
        ...(row.title === '' ? { title: titleOf(message.content) } : {}),
      },
    };
    if (!startsNow) return { ...shared, events: [accepted] };
    return {
      ...shared,
      events: [accepted, { type: 'turn:start', turn }],
      messages: [{ role: 'user', content }],
      startsTurn: true,
    };
  }

  /** ERR_CALL_NOT_PENDING, ERR_TOOL_ARGS; on these nothing has changed. */
  async answer(answer: Approval): Promise<void> {
    const { tool, pending } = this.approvals.peek(answer.callId);
    if (!answer.approved) {
      const settle = this.approvals.take(answer.callId);
      const reason = answer.reason ? { reason: answer.reason } : {};
      await this.#settled([settle], [{ type: 'tool:denied', callId: answer.callId, by: 'user', ...reason }]);
      settle({ approved: false, by: 'user', ...reason });
      return;
    }
    const args = answer.args ?? pending.args;
    const edited = answer.args !== undefined;
    const problem = edited ? this.#deps.parts.toolArgs.problem(tool.definition, args) : undefined;
    if (problem) throw new FairleadError('ERR_TOOL_ARGS', `the arguments do not fit the tool's schema: ${problem}`);
    const key = toolKey(tool);
    const same = answer.remember ? this.approvals.sameTool(key).filter((c) => c.pending.callId !== answer.callId) : [];
    const settle = this.approvals.take(answer.callId);
    const settleSame = same.map((call) => ({ call, settle: this.approvals.take(call.pending.callId) }));
    const unsettled = [settle, ...settleSame.map((other) => other.settle)];
    await this.#settled(
      unsettled,
      [
        { type: 'tool:approved', callId: answer.callId, by: 'user', ...(edited ? { args } : {}) },
        startEvent(answer.callId, tool, args),
        ...same.flatMap((call): DurableEvent[] => [
          { type: 'tool:approved', callId: call.pending.callId, by: 'policy' },
          startEvent(call.pending.callId, call.tool, call.pending.args),
        ]),
      ],
      answer.remember && !this.row.allowed.includes(key) ? { allowed: [...this.row.allowed, key] } : {},
    );
    settle({ approved: true, args, edited });
    for (const other of settleSame) other.settle({ approved: true, args: other.call.pending.args, edited: false });
  }

  /** Stores the answer to calls that were taken. When the store refuses, they are settled all the same: their turn must end. */
  async #settled(
    taken: readonly ((decision: Decision) => void)[],
    events: DurableEvent[],
    row: Partial<Pick<SessionRow, 'allowed'>> = {},
  ): Promise<void> {
    try {
      await this.log.commit(() => ({ events, row: { lastActiveAt: Date.now(), ...row } }));
    } catch (error) {
      for (const settle of taken) settle({ approved: false, by: 'cancel' });
      throw error;
    }
  }

  /** Stops the running turn; resolves when its `turn:end` is stored. Nothing runs: nothing to do. */
  async cancel(stop: TurnStop = 'cancelled'): Promise<void> {
    const running = this.#running;
    if (!running) return;
    running.abort.abort(stop);
    await running.done;
  }

  /** Forgets the conversation: the running turn is stopped first, those in line run on the empty transcript. */
  async reset(): Promise<void> {
    this.#pauses++;
    try {
      await this.log.settled();
      await this.cancel();
      await this.log.commit(() => ({
        events: [{ type: 'history:cleared' }],
        clearHistory: true,
        row: { lastActiveAt: Date.now() },
      }));
    } finally {
      this.#pauses--;
      this.#pump();
    }
  }

  /** No turn is started any more. */
  pause(): void {
    this.#pauses++;
  }

  /** No turn is started any more; the running one may finish, unless it waits for a person or comes to. */
  async drain(): Promise<void> {
    this.pause();
    this.#draining = true;
    await this.log.settled(); // a message that is being stored may start its turn
    if (this.waitsForApproval) await this.cancel('interrupted');
    else await this.#running?.done;
  }

  /** No turn is started any more; the running one is stopped. */
  async close(stop: TurnStop): Promise<void> {
    this.pause();
    await this.log.settled();
    await this.cancel(stop);
  }

  /** The next turn in line, when none runs. */
  #pump(): void {
    const [next] = this.row.openTurns;
    if (this.#pauses > 0 || this.#running || next?.waiting === undefined) return this.#checkIdle();
    const { waiting, ...openTurn } = next;
    const { turn } = openTurn;
    const started = this.log.commit(() => ({
      events: [{ type: 'turn:start', turn }],
      messages: [{ role: 'user', content: waiting }],
      row: { openTurns: this.row.openTurns.map((open) => (open.turn === turn ? openTurn : open)) },
    }));
    this.#run(turn, started);
  }

  /** A turn that its own acceptance started; one that had to wait after all is the pump's. */
  #startOpen(turn: number): void {
    if (this.row.openTurns[0]?.waiting === undefined) this.#run(turn);
    else this.#pump();
  }

  #run(number: number, started: Promise<unknown> = Promise.resolve()): void {
    const abort = new AbortController();
    const done = started
      .then(() => this.#runTurn(number, abort.signal))
      .catch((error: unknown) => {
        // Only the store rejects a turn; its failure has been reported by the log.
        this.#deps.log.warn({ session: this.id, turn: number, err: (error as Error).message }, 'turn lost its store');
      })
      .finally(() => {
        // The next turn may run already: its message was accepted right behind this turn's end.
        if (this.#running?.turn !== number) return;
        this.#running = undefined;
        this.#live.clear();
        this.#pump();
      });
    this.#running = { turn: number, abort, done };
  }

  async #runTurn(number: number, signal: AbortSignal): Promise<void> {
    const startedAt = performance.now();
    let streamed = false;
    const turn: Turn = {
      turn: number,
      parts: this.#deps.parts,
      log: this.log,
      live: this.#live,
      approvals: this.approvals,
      signal,
      startedAt,
      usage: { ...NO_USAGE },
      blocks: 0,
      model: this.row.model,
      onFirstToken: () => {
        if (streamed) return;
        streamed = true;
        firstToken.observe((performance.now() - startedAt) / 1000);
      },
      onAsked: () => {
        if (this.#draining) this.#running?.abort.abort('interrupted' satisfies TurnStop);
      },
      onApprovalTimeout: (callId) => void this.#timeOut(callId),
    };
    const stopWaiting = (): void => void this.#dropApprovals();
    signal.addEventListener('abort', stopWaiting, { once: true });
    this.#live.clear();
    const end = await runTurn(turn).catch((error: unknown) => this.#endFault(turn, error));
    const ms = performance.now() - startedAt;
    await this.log.commit(() => ({
      events: [...end.events, endEvent(number, end, turn.usage, ms, turn.model)],
      messages: end.messages,
      row: { lastActiveAt: Date.now(), openTurns: this.row.openTurns.filter((open) => open.turn !== number) },
    }));
    turnsTotal.inc({ stop_reason: end.stopReason });
    turnSeconds.observe(ms / 1000);
  }

  /** A fault of our own must not leave a turn open: it ends in an error, and every call of it has a result. */
  async #endFault(turn: Turn, error: unknown): Promise<LoopEnd> {
    if (this.log.failed) throw error;
    this.#deps.log.error({ session: this.id, turn: turn.turn, err: error }, 'a fault ended a turn');
    await this.#dropApprovals();
    const { appended } = repairTranscript(await turn.log.transcript((messages) => messages));
    const told = { code: 'ERR_INTERNAL', message: publicMessage(errorToData(error)) };
    return { stopReason: 'error', error: told, events: [], messages: appended };
  }

  async #timeOut(callId: string): Promise<void> {
    const settle = this.approvals.take(callId);
    await this.#settleUnasked([{ type: 'tool:denied', callId, by: 'timeout' }]);
    settle({ approved: false, by: 'timeout' });
  }

  /** The turn was stopped: what waits for a yes is closed everywhere, and never runs. */
  async #dropApprovals(): Promise<void> {
    const waiting = this.approvals.list().map(({ callId }) => ({ callId, settle: this.approvals.take(callId) }));
    if (waiting.length === 0) return;
    await this.#settleUnasked(
      waiting.map(({ callId }) => ({ type: 'tool:denied', callId, by: 'user', reason: 'the turn was stopped' })),
    );
    for (const { settle } of waiting) settle({ approved: false, by: 'cancel' });
  }

  /** For those that no caller waits on: the log has reported its failure, and the turn ends with it. */
  async #settleUnasked(events: DurableEvent[]): Promise<void> {
    await this.#settled([], events).catch((error: unknown) => {
      this.#deps.log.warn({ session: this.id, err: (error as Error).message }, 'a denial was not stored');
    });
  }

  #checkIdle(): void {
    if (this.idle) this.#deps.onIdle(this);
  }
}

function endEvent(
  turn: number,
  end: Pick<LoopEnd, 'stopReason' | 'error'>,
  usage: Turn['usage'],
  ms: number,
  model: string,
): DurableEvent {
  const { stopReason, error } = end;
  return { type: 'turn:end', turn, stopReason, usage, ms: Math.round(ms), model, ...(error ? { error } : {}) };
}
