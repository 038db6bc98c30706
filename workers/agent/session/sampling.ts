/** MCP sampling: asks the session's model for a server, with the user's approval each time, within limits. Agent threads. */
import type { CreateMessageRequest, CreateMessageResult } from '@modelcontextprotocol/client';
import { FairleadError } from '../../../src/shared/errors.js';
import { originOf } from '../../../src/shared/mcp-capabilities.js';
import type { TranscriptMessage } from '../store/store.js';
import { weighMessage } from '../model/context-weight.js';
import type { ModelAnswer } from '../model/model.js';
import { PlaceGate } from '../model/place-gate.js';
import { waitsForApproval, runningTurn, withProgress } from '../log/progress.js';
import type { ServerQuestions } from '../turn/questions.js';
import type { SessionLog } from '../log/session-log.js';
import { newBill, noticesOf, type Bill } from '../budget/bill.js';
import { payerOf } from '../budget/budget-rules.js';
import { addUsage, plusNanos } from '../log/usage.js';
import type { AgentParts } from '../turn/turn.js';

type Params = CreateMessageRequest['params'];
type SamplingMessage = Params['messages'][number];

/** Largest request of a server, messages and system prompt together. */
const MAX_BYTES = 1_048_576;
const MAX_MESSAGES = 100;
/** Most characters of a request that a question shows. The user says yes to what is shown, so a longer one is refused. */
const MAX_SHOWN = 32_768;
const ANSWER_TIMEOUT_MS = 120_000;
/** The image types that the Messages API accepts. */
const IMAGES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp'];

/** A form without fields: the user only accepts or declines. */
const NO_FIELDS = { type: 'object', properties: {} };

export interface SamplingDeps {
  parts: AgentParts;
  log: SessionLog;
  questions: ServerQuestions;
}

export class Sampling {
  readonly #deps: SamplingDeps;
  /** By running call, how often its server has sampled during it; removed with the call. */
  readonly #asked = new Map<string, number>();

  constructor(deps: SamplingDeps) {
    this.#deps = deps;
  }

  /** ERR_MCP, worded for the server: not allowed, over a limit, declined. ERR_MODEL. ERR_CANCELLED when the signal aborts. */
  async sample(server: string, params: Params, signal: AbortSignal): Promise<CreateMessageResult> {
    const { parts, questions } = this.#deps;
    const limits = parts.config.mcpServers[server]?.sampling;
    if (!limits) throw samplingError('this client does not allow sampling to this server');
    const messages = toTranscript(params);
    this.#count(server, limits.maxPerCall);
    const maxTokens = Math.min(params.maxTokens, limits.maxTokens);
    const question = {
      server,
      ...originOf(parts.config.mcpServers, server),
      mode: 'form',
      message: questionText(server, params, maxTokens),
      schema: NO_FIELDS,
    } as const;
    const { action } = await questions.ask(question, signal);
    if (action !== 'accept') throw samplingError('the user did not allow this request');
    const bill = newBill();
    try {
      const request = { system: params.systemPrompt ?? '', messages, maxTokens };
      return toResult(await this.#stream(request, bill, signal));
    } finally {
      await this.#noteUsage(bill);
    }
  }

  async #stream(
    request: { system: string; messages: TranscriptMessage[]; maxTokens: number },
    bill: Bill,
    signal: AbortSignal,
  ): Promise<ModelAnswer> {
    const { parts, log } = this.#deps;
    const until = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
    const { user, model } = log.row;
    const payer = payerOf(log.row, runningTurn(log.row)?.turn);
    const asked = { ...request, model, tools: [] };
    const tokens = request.messages.reduce((sum, message) => sum + weighMessage(message), 0);
    const call = { ...asked, tools: () => [], messages: tokens };
    const gate = new PlaceGate(() => parts.places.take({ user, model, signal: until }));
    try {
      const reserved = await parts.meter.reserve(payer, call, { signal: until, gate });
      const place = gate.place!;
      for await (const event of parts.meter.stream({ ...asked, place }, { payer, bill, reserved }, until)) {
        if (event.type !== 'done') continue;
        place.end(event.answer.usage);
        return event.answer;
      }
    } finally {
      gate.leave();
    }
    throw new FairleadError('ERR_MODEL', 'the model’s stream ended without an answer');
  }

  /** The request does not say to which call of the server it belongs, so it counts for the one with the fewest requests. */
  #count(server: string, maxPerCall: number): void {
    const running = runningTurn(this.#deps.log.row)?.progress.calls.filter((call) => !waitsForApproval(call)) ?? [];
    const ids = new Set(running.map(({ callId }) => callId));
    for (const callId of this.#asked.keys()) if (!ids.has(callId)) this.#asked.delete(callId);
    const [least] = running
      .filter((call) => call.server === server)
      .map(({ callId }) => ({ callId, times: this.#asked.get(callId) ?? 0 }))
      .sort((a, b) => a.times - b.times);
    if (!least) throw samplingError('no call of this server is running');
    if (least.times >= maxPerCall) throw samplingError(`only ${maxPerCall} sampling requests are allowed in one call`);
    this.#asked.set(least.callId, least.times + 1);
  }

  async #noteUsage(bill: Bill): Promise<void> {
    const { log } = this.#deps;
    await log.commit(() => {
      const running = runningTurn(log.row);
      if (!running) return undefined;
      const { progress, turn } = running;
      const sum = { usage: addUsage(progress.usage, bill.usage), ...plusNanos(progress, bill) };
      return { events: noticesOf(bill), row: { openTurns: withProgress(log.row, turn, sum) } };
    });
  }
}

function toTranscript({ messages, tools, toolChoice, systemPrompt = '' }: Params): TranscriptMessage[] {
  if (tools !== undefined || toolChoice !== undefined)
    throw samplingError('this client does not support tools in sampling');
  if (messages.length === 0 || messages.length > MAX_MESSAGES)
    throw samplingError(`a sampling request needs 1 to ${MAX_MESSAGES} messages`);
  if (JSON.stringify(messages).length + systemPrompt.length > MAX_BYTES)
    throw samplingError(`the sampling request is larger than ${MAX_BYTES} bytes`);
  return messages.map(({ role, content }) => ({ role, content: blocksOf(content).map(toSampledBlock) }));
}

function blocksOf(content: SamplingMessage['content']) {
  return Array.isArray(content) ? content : [content];
}

function toSampledBlock(block: ReturnType<typeof blocksOf>[number]): unknown {
  if (block.type === 'text') return { type: 'text', text: block.text };
  if (block.type === 'image' && IMAGES.includes(block.mimeType)) {
    return { type: 'image', source: { type: 'base64', media_type: block.mimeType, data: block.data } };
  }
  throw samplingError(`the model accepts text and images, not ${block.type}`);
}

function questionText(server: string, { messages, systemPrompt }: Params, maxTokens: number): string {
  const said = messages.flatMap(({ role, content }) =>
    blocksOf(content).map((block) => `${role}: ${block.type === 'text' ? block.text : `(${block.type})`}`),
  );
  const asked = [...(systemPrompt ? [`system: ${systemPrompt}`] : []), ...said].join('\n');
  if (asked.length > MAX_SHOWN)
    throw samplingError(`the user would be asked, and a question shows at most ${MAX_SHOWN} characters of text`);
  return `The server ${server} asks the model to answer this, in at most ${maxTokens} tokens:\n\n${asked}`;
}

function toResult({ content, stopReason, model }: ModelAnswer): CreateMessageResult {
  const text = content
    .map((block) => block as { type: string; text?: string })
    .flatMap((block) => (block.type === 'text' && block.text !== undefined ? [block.text] : []))
    .join('');
  return {
    role: 'assistant',
    content: { type: 'text', text },
    model,
    stopReason: stopReason === 'max_tokens' ? 'maxTokens' : 'endTurn',
  };
}

function samplingError(why: string): FairleadError {
  return new FairleadError('ERR_MCP', why);
}
