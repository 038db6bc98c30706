/** One round of a turn: the model's answer, stored together with the calls that it makes. Agent threads. */
import { setImmediate as immediate } from 'node:timers/promises';
import { errorToData, FairleadError, isFairleadError, publicMessage } from '../../../src/shared/errors.js';
import type { DurableEvent, Usage } from '../../../src/shared/protocol.js';
import type { ModelContext, TranscriptMessage } from '../store/store.js';
import type { StoredPart } from '../model/context.js';
import type { ModelAnswer } from '../model/model.js';
import { historyFull } from '../log/history-size.js';
import { waitsForApproval, runningTurn, withProgress } from '../log/progress.js';
import { resultMessage } from './result-messages.js';
import { planCalls, type ToolUse } from './tool-calls.js';
import { askInTurn, type Asked } from './ask-model.js';
import { Slice } from './slice.js';
import { newBill, noticesOf, type Bill } from '../budget/bill.js';
import { payerOf } from '../budget/budget-rules.js';
import { addUsage, plusNanos } from '../log/usage.js';
import { stopOf, type Turn, type TurnOutcome } from './turn.js';

/** What the turn's last step stores beside `turn:end`. */
export interface LoopEnd extends TurnOutcome {
  events: DurableEvent[];
  messages: TranscriptMessage[];
  /** Usage of the answer in this step. */
  usage?: Usage;
  model?: string;
  /** Of the call in this step. */
  bill?: Bill;
  context?: ModelContext;
  withheld?: string[];
}

/** The server stops, and the turn still waited to ask the model: nothing was begun, so it goes on from its row at the next start. */
export const LEFT = 'left';

/**
 * Resolves with the turn's end, with LEFT, or with undefined when the turn's calls are stored: allowed ones have started, the others wait
 * for approval. One step stores the answer with its calls, later steps one result each, so that after a crash at any point the
 * row says what is open. Rejects only when the store does.
 */
export async function runRound(turn: Turn): Promise<LoopEnd | typeof LEFT | undefined> {
  const { parts, log } = turn;
  const { maxRounds } = parts.config.model;
  const progress = runningTurn(log.row)?.progress;
  if (!progress) throw new Error(`turn ${turn.turn} does not run`);
  if (progress.rounds >= maxRounds) return failedTurn(tooManyRounds(maxRounds));
  const { maxBytes } = parts.config.store.history;
  if ((await log.measured()).bytes >= maxBytes) return failedTurn(historyFull(maxBytes));
  let answer: ModelAnswer;
  let asked: Asked | undefined;
  try {
    asked = (await turn.takeAhead()) ?? (await askInTurn(turn));
    answer = await streamAnswer(turn, asked, progress.blocks);
  } catch (error) {
    if (!asked && turn.signal.aborted && stopOf(turn.signal) === 'interrupted') return LEFT;
    const bill = asked?.bill ?? (isFairleadError(error, 'ERR_BUDGET') ? await emptyBill(turn) : undefined);
    return brokenAnswer(turn, error, bill);
  }
  const { bill, sent, messages } = asked;
  // An answer that was cut off or refused may hold half a call: its calls are dropped, the rest is kept.
  const wantsTools = answer.stopReason === 'tool_use';
  const content = wantsTools ? answer.content : answer.content.filter((block) => !isToolUse(block));
  const events = [...textEvents(turn.turn, progress.blocks, content), ...noticesOf(bill), ...refusalNotice(answer)];
  const said: TranscriptMessage[] = content.length > 0 ? [{ role: 'assistant', content }] : [];
  const context = contextAfter(answer.usage, sent.stored, messages + said.length);
  const withheld = answer.withheld ? { withheld: answer.withheld } : {};
  const uses = firstOfEachId(content.filter(isToolUse));
  if (!wantsTools || uses.length === 0) {
    const { model } = answer;
    const { usage } = bill;
    return { stopReason: endReason(answer), events, messages: said, usage, bill, model, context, ...withheld };
  }
  const plan = await planCalls(turn, uses, new Set(answer.invalidInput));
  const results = plan.results.length > 0 ? [resultMessage(plan.results)] : [];
  await log.commit(() => ({
    events: [...events, ...plan.events],
    messages: [...said, ...results],
    audit: { calls: plan.decided },
    row: {
      context,
      ...withheld,
      openTurns: withProgress(log.row, turn.turn, {
        rounds: progress.rounds + 1,
        blocks: progress.blocks + answer.content.length,
        usage: addUsage(progress.usage, bill.usage),
        ...plusNanos(progress, bill),
        model: answer.model,
        calls: plan.open,
      }),
    },
  }));
  turn.live.clear();
  for (const call of plan.open) if (!waitsForApproval(call)) turn.startCall(call);
  return undefined;
}

function refusalNotice({ leftOut }: ModelAnswer): DurableEvent[] {
  return leftOut === undefined ? [] : [{ type: 'notice', code: 'model_refused', message: leftOut }];
}

async function streamAnswer(
  { parts, log, live, turn, onText }: Turn,
  { events, first, place }: Asked,
  firstBlock: number,
): Promise<ModelAnswer> {
  const slice = new Slice();
  try {
    for (let next = await first; !next.done; next = await events.next()) {
      const { value: event } = next;
      if (slice.isOver()) await immediate();
      if (event.type === 'done') {
        place.end(event.answer.usage);
        return event.answer;
      }
      onText();
      parts.outbox.streaming(log.row.session, live.append(event.type, turn, firstBlock + event.block, event.text));
    }
  } finally {
    place.end();
    await events.return?.();
  }
  throw new Error('the model’s stream ended without its answer');
}

/** Ends the turn after a stream that broke or was stopped; keeps the text that clients have shown already. */
function brokenAnswer(turn: Turn, error: unknown, bill: Bill | undefined): LoopEnd {
  const partial = turn.live.partialText();
  const texts: DurableEvent[] = partial.map(({ block, text }) => ({ type: 'text', turn: turn.turn, block, text }));
  const events = [...texts, ...noticesOf(bill)];
  const used = bill && { usage: bill.usage, bill };
  const messages: TranscriptMessage[] =
    partial.length > 0 ? [{ role: 'assistant', content: partial.map(({ text }) => ({ type: 'text', text })) }] : [];
  if (turn.signal.aborted || isFairleadError(error, 'ERR_CANCELLED')) {
    return { stopReason: stopOf(turn.signal), events, messages, ...used };
  }
  const { code, retryAfterMs, ...data } = errorToData(error);
  const message = publicMessage({ code, ...data });
  return {
    stopReason: 'error',
    error: { code, message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
    events,
    messages,
    ...used,
  };
}

/** Of a call that no budget has paid: it says what is left, and from when on there is more. */
async function emptyBill({ parts, log, turn }: Turn): Promise<Bill> {
  const left = await parts.meter.budgets.leftOfAll(payerOf(log.row, turn)).catch(() => []); // the words say it, too
  return { ...newBill(), left };
}

function tooManyRounds(maxRounds: number): FairleadError {
  return new FairleadError(
    'ERR_MAX_ROUNDS',
    `the turn reached its limit of ${maxRounds} rounds; say «continue» to go on`,
  );
}

function failedTurn({ code, message }: FairleadError): LoopEnd {
  return { stopReason: 'error', error: { code, message }, events: [], messages: [] };
}

function textEvents(turn: number, firstBlock: number, content: readonly unknown[]): DurableEvent[] {
  return content.flatMap((block, index): DurableEvent[] => {
    const { type, text } = block as { type: string; text?: string };
    return type === 'text' && text ? [{ type: 'text', turn, block: firstBlock + index, text }] : [];
  });
}

/** The tokens are those of the request and of its answer, which the next request repeats. A model that counts none leaves all to be estimated. */
function contextAfter(usage: Usage, part: StoredPart, messages: number): ModelContext {
  const input = usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens;
  return input === 0
    ? { ...part, messages: part.from, tokens: 0 }
    : { ...part, messages, tokens: input + usage.outputTokens };
}

function endReason(answer: ModelAnswer): TurnOutcome['stopReason'] {
  return answer.stopReason === 'tool_use' ? 'end_turn' : answer.stopReason;
}

/** Drops a call that repeats an id, as `repairTranscript` does: calls are known by their ids. */
function firstOfEachId(uses: readonly ToolUse[]): ToolUse[] {
  return uses.filter((use, index) => uses.findIndex((other) => other.id === use.id) === index);
}

function isToolUse(block: unknown): block is ToolUse {
  return (block as { type?: unknown }).type === 'tool_use';
}
