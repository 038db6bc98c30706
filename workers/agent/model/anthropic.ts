/** The model behind the Anthropic Messages API, streamed through the SDK: one client per thread, any number of streams. Agent threads. */
import type { MessageCreateParamsStreaming } from '@anthropic-ai/sdk/resources/messages';
import { modelAddress, modelHeaders } from '../../../src/shared/config-model.js';
import { proxyFor } from '../../../src/shared/proxies.js';
import type { Config } from '../../../src/shared/config.js';
import type { FairleadError } from '../../../src/shared/errors.js';
import { Anthropic } from './anthropic-sdk.js';
import { AnswerBuilder, unfold } from './answer-builder.js';
import { AnswerEvents, END, notAnAnswer, readEvent, type AnswerEvent } from './answer-stream.js';
import { askAgain } from './ask-again.js';
import { brokeOff, modelError, toModelError, toStreamError } from './model-errors.js';
import { createModelFetch } from './model-fetch.js';
import { ModelTraits } from './model-traits.js';
import type { Model, ModelEvent, ModelRequest } from './model.js';
import type { ModelHealth } from './model-health.js';
import { Retries } from './retries.js';
import { atMost, cancelled, onAbort } from '../../../src/shared/abort.js';

export interface AnthropicOptions {
  /** The longest silence in the middle of an answer, in ms; the API's pings count as signs of life. */
  idleMs?: number;
  /** How often a request is made again of which nothing has been shown. */
  maxRetries?: number;
  /** Of one answer's events. */
  maxAnswerBytes?: number;
  /** Is told of each answer and each failure. */
  health?: ModelHealth;
}

const IDLE_MS = 120_000;
const MAX_RETRIES = 2;
/** An answer of 128,000 tokens takes 20 MB of events. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** After the last event the connection has this long to end and return to the pool. */
const END_MS = 1_000;

export function createAnthropicModel(config: Config, options: AnthropicOptions = {}): Model {
  const address = modelAddress(config.anthropic);
  const { idleMs = IDLE_MS, maxRetries = MAX_RETRIES, maxAnswerBytes = MAX_ANSWER_BYTES, health } = options;
  const client = new Anthropic({
    authToken: config.anthropic.apiKey || config.anthropic.authToken,
    defaultHeaders: modelHeaders(config.anthropic), // the start's check sends the same
    baseURL: address,
    maxRetries: 0, // `Retries` has one budget for failures before an answer and in its stream
    fetch: createModelFetch(proxyFor(new URL(address), config.proxies)),
    logLevel: 'off', // the SDK's log would contain prompts
    openTelemetry: false,
  });

  const traits = new ModelTraits(() => config.model.thinkingTokens);

  async function* ask(
    body: MessageCreateParamsStreaming,
    { signal, beginMs, of: { place, onUsage } }: { signal: AbortSignal; beginMs: number; of: ModelRequest },
  ): AsyncGenerator<ModelEvent, void, undefined> {
    if (signal.aborted) throw cancelled();
    const { timeoutMs } = config.model;
    const abort = new AbortController();
    const stopListening = onAbort(signal, () => abort.abort());
    /** Set when we abort the request ourselves. */
    let gaveUp: FairleadError | undefined;
    const giveUp = (message: string): void => {
      gaveUp = modelError(message);
      abort.abort();
    };
    let timer = setTimeout(giveUp, beginMs, 'the model’s API did not answer in time');
    let finished = false;
    let builder: AnswerBuilder | undefined;
    try {
      const response = await client.messages.create(body, { signal: abort.signal, timeout: timeoutMs }).asResponse();
      place?.answered(response.headers);
      clearTimeout(timer);
      timer = setTimeout(giveUp, idleMs, 'the model fell silent in the middle of its answer');
      let heardAt = performance.now();
      const onBytes = (): void => {
        timer.refresh();
        if (performance.now() - heardAt > timeoutMs) giveUp('the model sent nothing but signs of life');
      };
      const events = await AnswerEvents.open(response, { maxBytes: maxAnswerBytes, onBytes });
      builder = new AnswerBuilder(body.model);
      let isEmpty = true;
      let isAnswer = false;
      for (;;) {
        const next = await nextEvent(events, builder);
        if (signal.aborted) throw cancelled();
        isEmpty &&= next === undefined;
        const event = next?.event;
        if (next && !event) continue;
        if (!event || event.type === END) {
          if (!builder.isWhole(true)) throw isAnswer ? brokeOff() : notAnAnswer(response, isEmpty);
        } else {
          if (event.type === 'error') throw toStreamError(event, body.model, response.headers);
          if (event.type === 'ping') continue;
          isAnswer = true;
          for (const part of unfold(event)) {
            const streamed = builder.take(part);
            if (streamed) yield streamed;
          }
          heardAt = performance.now();
          if (!builder.isComplete) continue;
        }
        finished = true;
        health?.answered();
        void letEnd(events, abort);
        yield { type: 'done', answer: builder.answer() };
        return;
      }
    } catch (error) {
      if (signal.aborted) throw cancelled();
      const failure = gaveUp ?? toModelError(error, body.model);
      health?.failed(failure);
      throw failure;
    } finally {
      clearTimeout(timer);
      stopListening();
      if (!finished && builder) onUsage?.(builder.usageSoFar());
      if (!finished) abort.abort(); // closes the connection, also when the caller stops reading
    }
  }

  return {
    provider: 'anthropic',
    maxPromptTokens: (model) => traits.maxPromptTokens(model),
    stream: (request, signal) =>
      askAgain(request, {
        traits,
        retries: () => new Retries({ max: maxRetries, timeoutMs: config.model.timeoutMs, signal }),
        ask: (body, beginMs) => ask(body, { signal, beginMs, of: request }),
      }),
  };
}

/** Undefined at the stream's end, and where it breaks behind a whole answer. */
async function nextEvent(
  events: AnswerEvents,
  builder: AnswerBuilder,
): Promise<{ event: AnswerEvent | undefined } | undefined> {
  try {
    const next = await events.next();
    return next && { event: readEvent(next) };
  } catch (error) {
    if (builder.isWhole(false)) return undefined;
    throw error;
  }
}

/** Reads to the body's end, so that the connection can be used again; leaving the body early would close it. */
async function letEnd(events: AnswerEvents, abort: AbortController): Promise<void> {
  const ended = (async (): Promise<void> => {
    while (await events.next());
  })().catch(() => undefined); // the answer is complete, so a failure of its connection does not matter
  if (!(await atMost(END_MS, ended))) abort.abort();
}
