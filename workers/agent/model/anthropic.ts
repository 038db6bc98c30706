/** The model behind the Anthropic Messages API, streamed through the SDK: one client per thread, any number of streams. Agent threads. */
import type { MessageCreateParamsStreaming, RawMessageStreamEvent } from '@anthropic-ai/sdk/resources/messages';
import type { ServerSentEvent } from '@anthropic-ai/sdk/streaming';
import type { Config } from '../../../src/shared/config.js';
import type { FairleadError } from '../../../src/shared/errors.js';
import { Anthropic, Stream } from './anthropic-sdk.js';
import { AnswerBuilder } from './answer-builder.js';
import { askAgain } from './ask-again.js';
import { modelError, toModelError, toStreamError } from './model-errors.js';
import { modelFetch } from './model-fetch.js';
import { ModelTraits } from './model-traits.js';
import type { Model, ModelEvent } from './model.js';
import { atMost, cancelled, onAbort } from '../../../src/shared/abort.js';

export interface AnthropicOptions {
  /** The longest silence in the middle of an answer, in ms; the API's pings count as signs of life. */
  idleMs?: number;
  /** Retries before the first byte of an answer, with the SDK's backoff. */
  maxRetries?: number;
}

const IDLE_MS = 120_000;
const MAX_RETRIES = 2;
/** After the last event the connection has this long to end and return to the pool. */
const END_MS = 1_000;

export function createAnthropicModel(config: Config, options: AnthropicOptions = {}): Model {
  const { timeoutMs, thinkingTokens } = config.model;
  const idleMs = options.idleMs ?? IDLE_MS;
  const client = new Anthropic({
    apiKey: config.anthropic.apiKey,
    baseURL: config.anthropic.baseUrl || null, // null chooses the SDK's default instead of the environment's
    maxRetries: options.maxRetries ?? MAX_RETRIES,
    timeout: timeoutMs,
    fetch: modelFetch,
    logLevel: 'off', // the SDK's log would contain prompts
    openTelemetry: false,
  });

  const traits = new ModelTraits(thinkingTokens);

  async function* ask(
    body: MessageCreateParamsStreaming,
    signal: AbortSignal,
  ): AsyncGenerator<ModelEvent, void, undefined> {
    if (signal.aborted) throw cancelled();
    const abort = new AbortController();
    const stopListening = onAbort(signal, () => abort.abort());
    /** Set when we abort the request ourselves. */
    let gaveUp: FairleadError | undefined;
    const giveUp = (message: string): void => {
      gaveUp = modelError(message);
      abort.abort();
    };
    // The SDK's timeout restarts with each retry; this one does not.
    let timer = setTimeout(giveUp, timeoutMs, 'the model’s API did not answer in time');
    let finished = false;
    try {
      const response = await client.messages.create(body, { signal: abort.signal }).asResponse();
      checkIsStream(response);
      clearTimeout(timer);
      timer = setTimeout(giveUp, idleMs, 'the model fell silent in the middle of its answer');
      const builder = new AnswerBuilder(body.model);
      // Raw events, since the SDK's message stream hides pings and copies the message for each delta.
      const events = Stream.rawEvents(response);
      let heardAt = performance.now();
      for (;;) {
        const next = await events.next();
        if (signal.aborted) throw cancelled();
        if (next.done) throw modelError('the model’s answer broke off in the middle');
        timer.refresh();
        const event = readEvent(next.value, body.model);
        if (event === undefined) {
          if (performance.now() - heardAt > timeoutMs) throw modelError('the model sent nothing but signs of life');
          continue;
        }
        heardAt = performance.now();
        const streamed = builder.take(event);
        if (streamed) yield streamed;
        if (!builder.complete) continue;
        finished = true;
        void letEnd(events, abort);
        yield { type: 'done', answer: builder.answer() };
        return;
      }
    } catch (error) {
      if (signal.aborted) throw cancelled();
      throw gaveUp ?? toModelError(error, body.model);
    } finally {
      clearTimeout(timer);
      stopListening();
      if (!finished) abort.abort(); // closes the connection, also when the caller stops reading
    }
  }

  return {
    provider: 'anthropic',
    stream: (request, signal) => askAgain(request, { traits, ask: (body) => ask(body, signal) }),
  };
}

/** Undefined for pings and events without data. */
function readEvent({ event, data }: ServerSentEvent, model: string): RawMessageStreamEvent | undefined {
  if (event === 'ping' || event === null || data === '') return undefined;
  const json: unknown = JSON.parse(data);
  if (event === 'error') throw toStreamError(json, model);
  return json as RawMessageStreamEvent;
}

/** Refuses a proxy's page that comes with status 200. */
function checkIsStream(response: Response): void {
  const type = response.headers.get('content-type') ?? 'nothing';
  if (!type.startsWith('text/event-stream')) {
    throw modelError(`the model’s API answered with ${type.slice(0, 100)} in place of a stream`);
  }
}

/** Reads to the body's end, so that the connection can be used again; leaving the body early would close it. */
async function letEnd(events: AsyncGenerator<ServerSentEvent>, abort: AbortController): Promise<void> {
  const ended = (async (): Promise<void> => {
    while (!(await events.next()).done);
  })().catch(() => undefined); // the answer is complete, so a failure of its connection does not matter
  if (!(await atMost(END_MS, ended))) abort.abort();
}
