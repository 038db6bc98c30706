/** The turn loop: model answer, calls, results, until the model is done. Runs in agent threads. */
import { errorToData, isFairleadError, publicMessage } from '../../src/errors.js';
import type { DurableEvent } from '../../src/protocol.js';
import type { TranscriptMessage } from '../../src/store/store.js';
import { repairTranscript } from './model/repair-transcript.js';
import type { ModelAnswer } from './model/model.js';
import { planCalls, runCalls, type ToolUse } from './tool-calls.js';
import { addUsage, stopOf, type Turn, type TurnOutcome } from './turn.js';

/** What the turn's last step writes beside `turn:end`. */
export interface LoopEnd extends TurnOutcome {
  events: DurableEvent[];
  messages: TranscriptMessage[];
}

/**
 * Saved in this order: the model's answer together with what is asked for, each call's start, each result, then all
 * results as one message. So a crash at any point leaves a transcript that `repairTranscript` makes valid.
 * Rejects only when the store does.
 */
export async function runTurn(turn: Turn): Promise<LoopEnd> {
  const { parts, log, signal } = turn;
  for (let round = 0; round < parts.config.model.maxRounds; round++) {
    const messages = await log.transcript((read) => repairTranscript(read).messages);
    let answer: ModelAnswer;
    try {
      answer = await streamAnswer(turn, messages);
    } catch (error) {
      return brokenAnswer(turn, error);
    }
    addUsage(turn.usage, answer.usage);
    turn.model = answer.model;
    // Calls of an answer that was cut or refused are not whole: they are dropped, the rest is kept.
    const wantsTools = answer.stopReason === 'tool_use';
    const content = wantsTools ? answer.content : answer.content.filter((block) => !isToolUse(block));
    const events = textEvents(turn, content);
    const said: TranscriptMessage[] = content.length > 0 ? [{ role: 'assistant', content }] : [];
    turn.blocks += answer.content.length;
    const uses = firstOfEachId(content.filter(isToolUse));
    if (answer.stopReason !== 'tool_use' || uses.length === 0) {
      return { stopReason: endReason(answer), events, messages: said };
    }
    const plan = planCalls(turn, uses, new Set(answer.invalidInput));
    await log.commit(() => ({ events: [...events, ...plan.events], messages: said }));
    turn.live.clear();
    if (turn.approvals.size > 0) turn.onAsked();
    const results = await runCalls(turn, plan.calls);
    const resultMessage: TranscriptMessage = { role: 'user', content: results };
    if (signal.aborted) return { stopReason: stopOf(signal), events: [], messages: [resultMessage] };
    await log.commit(() => ({ events: [], messages: [resultMessage] }));
  }
  return {
    stopReason: 'error',
    error: {
      code: 'ERR_MAX_ROUNDS',
      message: `the turn reached its limit of ${parts.config.model.maxRounds} rounds; say «continue» to go on`,
    },
    events: [],
    messages: [],
  };
}

async function streamAnswer(turn: Turn, messages: readonly TranscriptMessage[]): Promise<ModelAnswer> {
  const { parts, log, live, signal } = turn;
  const { model: settings } = parts.config;
  const request = {
    model: log.row.model,
    system: settings.system,
    messages,
    tools: parts.toolSet().tools,
    maxTokens: settings.maxTokens,
  };
  for await (const event of parts.model.stream(request, signal)) {
    if (event.type === 'done') return event.answer;
    turn.onFirstToken();
    parts.outbox.streaming(log.row.session, live.append(event.type, turn.turn, turn.blocks + event.block, event.text));
  }
  throw new Error('the model’s stream ended without its answer');
}

/** The stream broke, or was stopped: the text that people have already read is kept, and the turn ends. */
function brokenAnswer(turn: Turn, error: unknown): LoopEnd {
  const partial = turn.live.partialText();
  const events: DurableEvent[] = partial.map(({ block, text }) => ({ type: 'text', turn: turn.turn, block, text }));
  const messages: TranscriptMessage[] =
    partial.length > 0 ? [{ role: 'assistant', content: partial.map(({ text }) => ({ type: 'text', text })) }] : [];
  if (turn.signal.aborted || isFairleadError(error, 'ERR_CANCELLED')) {
    return { stopReason: stopOf(turn.signal), events, messages };
  }
  const { code, retryAfterMs, ...data } = errorToData(error);
  const message = publicMessage({ code, ...data });
  return {
    stopReason: 'error',
    error: { code, message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
    events,
    messages,
  };
}

function textEvents(turn: Turn, content: readonly unknown[]): DurableEvent[] {
  return content.flatMap((block, index): DurableEvent[] => {
    const { type, text } = block as { type: string; text?: string };
    return type === 'text' && text ? [{ type: 'text', turn: turn.turn, block: turn.blocks + index, text }] : [];
  });
}

function endReason(answer: ModelAnswer): TurnOutcome['stopReason'] {
  return answer.stopReason === 'tool_use' ? 'end_turn' : answer.stopReason;
}

/** Calls are known by their id: a second one of the same id is none, as `repairTranscript` sees it too. */
function firstOfEachId(uses: readonly ToolUse[]): ToolUse[] {
  return uses.filter((use, index) => uses.findIndex((other) => other.id === use.id) === index);
}

function isToolUse(block: unknown): block is ToolUse {
  return (block as { type?: unknown }).type === 'tool_use';
}
