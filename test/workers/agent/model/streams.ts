/** Reads a model's stream to its end, and holds together what tests of models share. Runs in tests. */
import { parseConfig, type Config } from '../../../../src/shared/config.js';
import type { Model, ModelAnswer, ModelEvent, ModelRequest } from '../../../../workers/agent/model/model.js';
import { user } from './transcripts.js';

export function configFor(url: string, model: Record<string, unknown> = {}): Config {
  return parseConfig({ model }, { ANTHROPIC_API_KEY: 'test-key', ANTHROPIC_BASE_URL: url });
}

export function ask(more: Partial<ModelRequest> = {}): ModelRequest {
  return {
    model: 'claude-sonnet-5-5',
    system: 'You are here.',
    messages: [user('hello')],
    tools: [{ name: 'read_file', description: 'Reads a file', inputSchema: { type: 'object' } }],
    maxTokens: 8192,
    ...more,
  };
}

export interface Heard {
  events: ModelEvent[];
  answer: ModelAnswer;
}

export async function listen(
  model: Model,
  request: ModelRequest,
  signal: AbortSignal = new AbortController().signal,
): Promise<Heard> {
  const events: ModelEvent[] = [];
  for await (const event of model.stream(request, signal)) {
    events.push(event);
    if (event.type === 'done') return { events, answer: event.answer };
  }
  throw new Error('the stream ended without done');
}

/** The streamed pieces of one block, put together. */
export function streamed(events: readonly ModelEvent[], block: number): string {
  return events.map((event) => (event.type !== 'done' && event.block === block ? event.text : '')).join('');
}
