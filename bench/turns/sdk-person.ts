/** The same user without Fairlead: keeps the conversation and calls the model with the Anthropic SDK alone. */
import Anthropic from '@anthropic-ai/sdk';
import type { ContentBlockParam, MessageParam } from '@anthropic-ai/sdk/resources/messages';
import type { Gathering, TurnSample } from './messages.js';
import { answerText, askText, type Ask } from './script.js';

const CACHED = { type: 'ephemeral' } as const;

/** The model's answer, assembled. */
interface Said {
  content: ContentBlockParam[];
  calls: string[];
  text: string;
}

/** One for each process, as in a program that uses the SDK. */
export function createSdk(modelUrl: string): Anthropic {
  return new Anthropic({ apiKey: 'bench', baseURL: modelUrl, logLevel: 'off' });
}

export class SdkPerson {
  readonly #sdk: Anthropic;
  readonly #gathering: Gathering;
  #messages: MessageParam[] = [];
  #turns = 0;

  constructor(sdk: Anthropic, gathering: Gathering) {
    this.#sdk = sdk;
    this.#gathering = gathering;
  }

  /** Never rejects. Tools answer at once: the model's calls are compared. */
  async turn(ask: Ask): Promise<TurnSample> {
    const { turnsPerSession, turnTimeoutMs } = this.#gathering.pace;
    const sample: TurnSample = { ask, acceptedMs: Number.NaN, firstMs: Number.NaN, turnMs: Number.NaN };
    if (this.#turns >= turnsPerSession) this.#begin();
    const signal = AbortSignal.timeout(turnTimeoutMs);
    const startedAt = performance.now();
    const onText = (): void => {
      if (Number.isNaN(sample.firstMs)) sample.firstMs = performance.now() - startedAt;
    };
    this.#messages.push({ role: 'user', content: askText(ask, ++this.#turns) });
    try {
      let said = await this.#call(signal, onText);
      while (said.calls.length > 0) {
        this.#messages.push({
          role: 'user',
          content: said.calls.map((id) => ({ type: 'tool_result', tool_use_id: id, content: 'done' })),
        });
        said = await this.#call(signal, onText);
      }
      sample.turnMs = performance.now() - startedAt;
      if (said.text !== answerText(this.#gathering.pace)) sample.error = 'the answer is not what the model said';
    } catch (error) {
      sample.error = error instanceof Error ? error.message : String(error);
    }
    if (sample.error !== undefined) this.#begin();
    return sample;
  }

  #begin(): void {
    this.#messages = [];
    this.#turns = 0;
  }

  async #call(signal: AbortSignal, onText: () => void): Promise<Said> {
    const stream = await this.#sdk.messages.create(
      { ...this.#gathering.template, messages: marked(this.#messages), stream: true },
      { signal },
    );
    const said: Said = { content: [], calls: [], text: '' };
    let tool: { id: string; name: string; json: string } | undefined;
    for await (const event of stream) {
      if (event.type === 'content_block_start' && event.content_block.type === 'tool_use') {
        tool = { id: event.content_block.id, name: event.content_block.name, json: '' };
      } else if (event.type === 'content_block_start') said.text = '';
      else if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') {
        said.text += event.delta.text;
        onText();
      } else if (event.type === 'content_block_delta' && event.delta.type === 'input_json_delta' && tool) {
        tool.json += event.delta.partial_json;
      } else if (event.type === 'content_block_stop' && tool) {
        const input: unknown = JSON.parse(tool.json || '{}');
        said.content.push({ type: 'tool_use', id: tool.id, name: tool.name, input });
        said.calls.push(tool.id);
        tool = undefined;
      } else if (event.type === 'content_block_stop') said.content.push({ type: 'text', text: said.text });
    }
    this.#messages.push({ role: 'assistant', content: said.content });
    return said;
  }
}

/** With the prompt cache's mark on the newest message, as in production. */
function marked(messages: readonly MessageParam[]): MessageParam[] {
  const last = messages.at(-1);
  if (last?.role !== 'user') return [...messages];
  const content: ContentBlockParam[] =
    typeof last.content === 'string' ? [{ type: 'text', text: last.content }] : [...last.content];
  const block = content.at(-1);
  if (block) content[content.length - 1] = { ...block, cache_control: CACHED } as ContentBlockParam;
  return [...messages.slice(0, -1), { role: 'user', content }];
}
