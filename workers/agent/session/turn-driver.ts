/** Drives a turn in memory: its rounds and calls, until it ends or is suspended. Agent threads. */
import { errorToData, publicMessage } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { counter, histogram, SECONDS_FAST, SECONDS_SLOW } from '../../../src/shared/metrics.js';
import type { DurableEvent, TurnWaiting } from '../../../src/shared/protocol.js';
import type { ServerAsks } from '../mcp/host/server-connection.js';
import { passingFrame } from '../log/frames.js';
import { closeAll } from './open-calls.js';
import { answeredCalls, isSuspended, runningTurn } from '../log/progress.js';
import { closeQuestions, type ServerQuestions } from '../turn/questions.js';
import type { AskedAhead } from '../turn/ask-model.js';
import { runCall } from '../turn/tool-calls.js';
import { LEFT, runRound, type LoopEnd } from '../turn/turn-loop.js';
import type { SessionRow } from '../store/store.js';
import { toAmount } from '../../../src/shared/prices.js';
import { addUsage, NO_USAGE, plusNanos } from '../log/usage.js';
import { stopOf, type AgentParts, type StartedCall, type Turn, type TurnStop } from '../turn/turn.js';
import type { LiveText } from '../turn/live-text.js';
import type { SessionLog, Step } from '../log/session-log.js';

const turnsTotal = counter('fairlead_turns_total', 'Turns by how they ended', ['stop_reason']);
const firstToken = histogram('fairlead_first_token_seconds', 'Turn start to the first streamed text', SECONDS_FAST);
const turnSeconds = histogram('fairlead_turn_seconds', 'Turn start to turn end', SECONDS_SLOW);

export interface TurnDriverOptions {
  turn: number;
  parts: AgentParts;
  log: SessionLog;
  live: LiveText;
  asks: ServerAsks;
  questions: ServerQuestions;
  logger: Logger;
  /** The commit of the turn's start, if that is still under way. */
  started?: Promise<unknown> | undefined;
  /** The request for the first answer, if it was made while the turn's start was on its way. */
  ahead?: AskedAhead | undefined;
  /** Called in the tick in which the driver finds nothing left to do in memory. */
  onDone: (driver: TurnDriver) => void;
}

/**
 * It works from the session's row alone, so it can begin anywhere: after a restart, after the user's answer, in the middle of a
 * round. A suspended turn has no driver.
 */
export class TurnDriver {
  readonly turn: number;
  /** Never rejects. */
  readonly done: Promise<void>;
  readonly ahead: AskedAhead | undefined;
  readonly #options: TurnDriverOptions;
  readonly #abort: AbortController;
  readonly #calls = new Map<string, Promise<void>>();
  readonly #turn: Turn;
  readonly #begunAt: number;
  #streamed = false;

  constructor(options: TurnDriverOptions) {
    const { turn, parts, log, live, asks, questions, logger, started, ahead } = options;
    this.turn = turn;
    this.ahead = ahead;
    this.#options = options;
    this.#abort = ahead?.abort ?? new AbortController();
    this.#begunAt = ahead?.begunAt ?? performance.now();
    this.#turn = {
      turn,
      parts,
      log,
      live,
      asks,
      questions,
      signal: this.#abort.signal,
      startCall: (call) => this.startCall(call),
      onText: () => this.#noteText(),
      onWait: (wait) => this.#tellWait(wait),
      takeAhead: () => ahead?.take((wait) => this.#tellWait(wait)),
    };
    live.clear();
    this.done = Promise.resolve(started)
      .then(() => this.#drive())
      .catch((error: unknown) => {
        // Only the store can make a turn reject, and the log has reported that.
        logger.warn({ ...this.#of(), err: (error as Error).message }, 'a turn was interrupted by the store');
        options.onDone(this);
      })
      .finally(() => ahead?.drop());
  }

  /** What finds the turn in the log. */
  #of(): { session: string; turn: number; requestId?: string } {
    const { row } = this.#options.log;
    return { session: row.session, turn: this.turn, ...requestOf(row, this.turn) };
  }

  stop(stop: TurnStop): void {
    this.#abort.abort(stop);
  }

  /** Runs a call whose start is stored. */
  startCall(call: StartedCall): void {
    const done = runCall(this.#turn, call);
    const settled = done.finally(() => this.#calls.delete(call.callId));
    this.#calls.set(call.callId, settled);
    settled.catch(() => undefined); // #drive waits for the call and gets its failure
  }

  async #drive(): Promise<void> {
    const { log } = this.#options;
    const { signal } = this.#abort;
    for (;;) {
      if (this.#calls.size > 0) {
        await Promise.all(this.#calls.values());
        continue;
      }
      const running = runningTurn(log.row);
      if (running?.turn !== this.turn) return this.#options.onDone(this);
      const answered = signal.aborted ? [] : answeredCalls(running);
      for (const call of answered) this.startCall(call);
      if (answered.length > 0) continue;
      // An interruption leaves a suspended turn waiting for its user; a cancellation ends it.
      const stops = signal.aborted && (stopOf(signal) === 'cancelled' || !isSuspended(running));
      if (!stops && isSuspended(running)) return this.#options.onDone(this);
      const end = stops ? stopped(signal) : await this.#round();
      if (!end) continue;
      if (end !== LEFT) await this.#end(end);
      return this.#options.onDone(this);
    }
  }

  /** A bug of ours must not leave a turn open: it ends the turn with an error. */
  async #round(): Promise<LoopEnd | typeof LEFT | undefined> {
    try {
      return await runRound(this.#turn);
    } catch (error) {
      const { log, logger } = this.#options;
      if (log.failed) throw error;
      const data = errorToData(error);
      const { retryAfterMs } = data;
      // ERR_UNAVAILABLE: the history could not be read, which is no bug of ours.
      const isFault = data.code !== 'ERR_UNAVAILABLE';
      if (isFault) logger.error({ ...this.#of(), err: error }, 'a bug ended a turn');
      const told = { code: isFault ? 'ERR_INTERNAL' : data.code, message: publicMessage(data) };
      const failure = retryAfterMs === undefined ? told : { ...told, retryAfterMs };
      return { stopReason: 'error', error: failure, events: [], messages: [] };
    }
  }

  async #end(end: LoopEnd): Promise<void> {
    const { log } = this.#options;
    const { currency } = this.#options.parts.config.prices;
    await log.commit(() => endStep(log, this.turn, { ...end, currency }));
    turnsTotal.inc({ stop_reason: end.stopReason });
    turnSeconds.observe((performance.now() - this.#begunAt) / 1000);
  }

  #tellWait(wait: Pick<TurnWaiting, 'reason' | 'retryAfterMs'> | undefined): void {
    const { parts, log, live } = this.#options;
    if (!wait) return live.endWait();
    parts.outbox.push(log.row.session, passingFrame(live.wait(this.turn, wait.reason, wait.retryAfterMs)));
  }

  #noteText(): void {
    if (this.#streamed) return;
    this.#streamed = true;
    firstToken.observe((performance.now() - this.#begunAt) / 1000);
  }
}

/** The last step of a turn, which closes all that is still open in it. */
export function endStep({ row }: SessionLog, turn: number, end: LoopEnd & { currency: string }): Step {
  const progress = runningTurn(row)?.progress;
  const closed = closeAll(row);
  const questions = closeQuestions(row, true);
  const now = Date.now();
  const { nanos } = plusNanos(progress, end.bill);
  const budgets = end.bill?.left ?? [];
  const event: DurableEvent = {
    type: 'turn:end',
    turn,
    stopReason: end.stopReason,
    usage: addUsage(progress?.usage ?? NO_USAGE, end.usage ?? NO_USAGE),
    ms: Math.max(0, now - (progress?.startedAt ?? now)),
    model: end.model ?? progress?.model ?? row.model,
    ...(end.error ? { error: { ...end.error, ...requestOf(row, turn) } } : {}),
    ...(nanos === undefined ? {} : { cost: { amount: toAmount(nanos), currency: end.currency } }),
    ...(budgets.length === 0 ? {} : { budgets }),
  };
  return {
    events: [...questions.events, ...closed.events, ...end.events, event],
    messages: [...closed.messages, ...end.messages],
    row: {
      lastActiveAt: now,
      openTurns: row.openTurns.filter((open) => open.turn !== turn),
      ...(end.context ? { context: end.context } : {}),
      ...(end.withheld ? { withheld: end.withheld } : {}),
    },
  };
}

/** Turns of 0.2.0, and those that nobody has sent, have none. */
function requestOf({ openTurns }: Pick<SessionRow, 'openTurns'>, turn: number): { requestId?: string } {
  const requestId = openTurns.find((open) => open.turn === turn)?.requestId;
  return requestId === undefined ? {} : { requestId };
}

function stopped(signal: AbortSignal): LoopEnd {
  return { stopReason: stopOf(signal), events: [], messages: [] };
}
