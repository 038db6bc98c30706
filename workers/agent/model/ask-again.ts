/**
 * Asks the model once more: the same after a failure that may pass, and without what its API refused, so that no block and no tool
 * ends a conversation. The answer says what was withheld; the session stores it, and its next request leaves it out from the start.
 * Nothing is asked again once a client has been shown a part of the answer. Agent threads.
 */
import type { MessageCreateParamsStreaming } from '@anthropic-ai/sdk/resources/messages';
import { counter } from '../../../src/shared/metrics.js';
import { LeftOut } from './left-out.js';
import { RateRefusal, RefusedRequest } from './model-errors.js';
import type { ModelTraits } from './model-traits.js';
import type { ModelEvent, ModelRequest } from './model.js';
import { readPromptSize } from './prompt-size.js';
import { isAboutContent, isTooLong, Stripping } from './refusals.js';
import type { Retries } from './retries.js';
import { toRequest } from './to-request.js';
import { Withheld } from './withheld.js';

/** One refusal may name one part after the other. */
const MAX_REQUESTS = 12;

const refusedTotal = counter(
  'fairlead_refused_requests_total',
  'Requests that the model’s API refused for what they hold, by what was done',
  ['step'],
);

export interface Asking {
  traits: ModelTraits;
  /** Of one request: a refused one has been answered. */
  retries: () => Retries;
  /** `beginMs`: how long the answer may take to begin. */
  ask: (body: MessageCreateParamsStreaming, beginMs: number) => AsyncIterable<ModelEvent>;
}

/** Rejects with the first refusal when nothing helps. */
export async function* askAgain(
  whole: ModelRequest,
  { traits, retries: newRetries, ask }: Asking,
): AsyncGenerator<ModelEvent, void, undefined> {
  let request = whole;
  const withheld = new Withheld(request.withheld);
  let stripping = new Stripping(request, withheld);
  const leftOut = new LeftOut();
  let first: RefusedRequest | undefined;
  let retries = newRetries();
  for (let requests = 1; ;) {
    const body = toRequest(request, traits.of(request.model, request.maxTokens), withheld);
    let isShown = false;
    try {
      for await (const event of ask(body, retries.leftMs)) {
        isShown = true;
        yield event.type === 'done' && withheld.changed ? withList(event, withheld, leftOut) : event;
      }
      return;
    } catch (error) {
      if (whole.place && error instanceof RateRefusal) {
        if (!(await whole.place.refused(error.retryAfterMs, !isShown))) throw error;
        retries = newRetries();
        continue;
      }
      if (isShown) throw error;
      if (await retries.wait(error)) continue;
      if (!(error instanceof RefusedRequest)) throw error;
      first ??= error;
      const step = requests++ < MAX_REQUESTS ? nextStep(body, error.refusal) : undefined;
      refusedTotal.inc({ step: step ?? 'given up' });
      if (step === undefined) throw first;
      retries = newRetries();
    }
  }

  function nextStep(body: MessageCreateParamsStreaming, refusal: string): string | undefined {
    if (traits.learn(request.model, refusal)) return 'model';
    if (isTooLong(body, refusal)) {
      const size = readPromptSize(refusal);
      if (size) traits.learnMaxPrompt(request.model, size.maximum);
      const messages = request.shorter?.(size);
      if (messages) {
        request = { ...request, messages };
        stripping = new Stripping(request, withheld);
        return 'shorter';
      }
    }
    if (!isAboutContent(body, refusal)) return undefined;
    const step = stripping.next(body, refusal);
    if (step) leftOut.add(step, body, withheld);
    return step;
  }
}

function withList(event: ModelEvent & { type: 'done' }, withheld: Withheld, leftOut: LeftOut): ModelEvent {
  return { ...event, answer: { ...event.answer, withheld: withheld.list(), leftOut: leftOut.toString() } };
}
