/** A model that plays the test's scripts, one per answer. */
import { FairleadError } from '../../../src/shared/errors.js';
import type { StopReason, Usage } from '../../../src/shared/protocol.js';
import { deferred } from '../../helpers/processes.js';
import type { Model, ModelAnswer, ModelEvent, ModelRequest } from '../../../workers/agent/model/model.js';

export const USAGE: Usage = { inputTokens: 10, outputTokens: 5, cacheReadTokens: 2, cacheWriteTokens: 1 };

export type Script = (request: ModelRequest, signal: AbortSignal) => AsyncIterable<ModelEvent>;

export class ScriptedModel implements Model {
  readonly provider = 'anthropic';
  /** The requests so far, as they were on arrival. */
  readonly requests: ModelRequest[] = [];
  readonly #scripts: Script[] = [];

  next(...scripts: Script[]): this {
    this.#scripts.push(...scripts);
    return this;
  }

  stream(request: ModelRequest, signal: AbortSignal): AsyncIterable<ModelEvent> {
    const { shorter: _shorter, place: _place, onUsage: _onUsage, ...told } = request;
    this.requests.push(structuredClone(told));
    const script = this.#scripts.shift();
    if (!script) throw new FairleadError('ERR_MODEL', 'the test has no more scripts');
    return script(request, signal);
  }
}

function done(content: unknown[], stopReason: ModelAnswer['stopReason'], invalidInput?: string[]): ModelEvent {
  const answer = { content, stopReason, usage: { ...USAGE }, model: 'scripted-1' };
  return { type: 'done', answer: invalidInput ? { ...answer, invalidInput } : answer };
}

/** Streams the pieces of one text block, then ends. */
export function says(...pieces: string[]): Script {
  return saysAndEnds('end_turn', ...pieces);
}

export function saysAndEnds(
  stopReason: Exclude<StopReason, 'cancelled' | 'interrupted' | 'error'>,
  ...pieces: string[]
): Script {
  return async function* () {
    for (const text of pieces) yield { type: 'text', block: 0, text };
    yield done(pieces.length > 0 ? [{ type: 'text', text: pieces.join('') }] : [], stopReason);
  };
}

/** As `says`; the model's API refused these parts of the conversation. */
export function withholds(list: string[], text: string): Script {
  return async function* () {
    const answer = {
      content: [{ type: 'text', text }],
      stopReason: 'end_turn',
      usage: { ...USAGE },
      model: 'scripted-1',
    };
    yield { type: 'done', answer: { ...answer, stopReason: 'end_turn', withheld: list } };
  };
}

export interface Use {
  id: string;
  name: string;
  input?: unknown;
}

/** Says a word, then asks for these tools. */
export function callsTools(uses: readonly Use[], options: { text?: string; invalidInput?: string[] } = {}): Script {
  return async function* () {
    const { text, invalidInput } = options;
    if (text) yield { type: 'text', block: 0, text };
    const content = [
      ...(text ? [{ type: 'text', text }] : []),
      ...uses.map(({ id, name, input = {} }) => ({ type: 'tool_use', id, name, input })),
    ];
    yield done(content, 'tool_use', invalidInput);
  };
}

export function fails(error: Error, ...pieces: string[]): Script {
  return async function* () {
    for (const text of pieces) yield { type: 'text', block: 0, text };
    throw error;
  };
}

/** Streams a piece, then waits for the test (or an abort) before it goes on. */
export function saysThenWaits(first: string, rest = ''): { script: Script; begun: Promise<void>; goOn: () => void } {
  const gate = deferred<void>();
  const begun = deferred<void>();
  const script: Script = async function* (_request, signal) {
    yield { type: 'text', block: 0, text: first };
    begun.resolve();
    await orAbort(gate.promise, signal);
    if (rest) yield { type: 'text', block: 0, text: rest };
    yield done([{ type: 'text', text: first + rest }], 'end_turn');
  };
  return { script, begun: begun.promise, goOn: () => gate.resolve() };
}

const cancelled = (): FairleadError => new FairleadError('ERR_CANCELLED', 'cancelled');

async function orAbort(work: Promise<void>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) throw cancelled();
  const aborted = deferred<'aborted'>();
  const onAbort = (): void => aborted.resolve('aborted');
  signal.addEventListener('abort', onAbort, { once: true });
  const first = await Promise.race([work, aborted.promise]);
  signal.removeEventListener('abort', onAbort);
  if (first === 'aborted') throw cancelled();
}
