/** Builds one answer from the Messages API's stream events. Agent threads. */
import type {
  RawContentBlockDeltaEvent,
  RawContentBlockStartEvent,
  RawMessageStreamEvent,
} from '@anthropic-ai/sdk/resources/messages';
import type { ModelAnswer, ModelEvent } from './model.js';
import { isObject } from './clean-blocks.js';

type Block =
  | { type: 'text'; text: string }
  | { type: 'thinking'; thinking: string; signature: string }
  | { type: 'redacted_thinking'; data: string }
  | { type: 'tool_use'; id: string; name: string; input: Record<string, unknown> };

interface OpenBlock {
  /** Index in the answer. Blocks of unknown kinds are left out and not counted. */
  position: number;
  block: Block;
  /** A tool's arguments so far. */
  json: string;
}

export class AnswerBuilder {
  readonly #content: Block[] = [];
  /** Keyed by the API's index. */
  readonly #open = new Map<number, OpenBlock>();
  readonly #invalidInput: string[] = [];
  #stopReason: string | null = null;
  #model: string;
  readonly #usage = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 };
  #complete = false;

  constructor(model: string) {
    this.#model = model;
  }

  /** True after message_stop; an answer without it was cut off. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Takes one event and returns what to stream on. */
  take(event: RawMessageStreamEvent): ModelEvent | undefined {
    switch (event.type) {
      case 'message_start':
        this.#model = event.message.model;
        this.#count(event.message.usage);
        return undefined;
      case 'content_block_start':
        return this.#start(event);
      case 'content_block_delta':
        return this.#append(event);
      case 'content_block_stop':
        this.#finish(event.index);
        return undefined;
      case 'message_delta':
        this.#stopReason = event.delta.stop_reason;
        this.#count(event.usage);
        return undefined;
      case 'message_stop':
        this.#complete = true;
        return undefined;
      default:
        return undefined; // an event of a later API
    }
  }

  answer(): ModelAnswer {
    return {
      content: this.#content,
      ...(this.#invalidInput.length === 0 ? {} : { invalidInput: this.#invalidInput }),
      stopReason: this.#mapStopReason(),
      usage: this.#usage,
      model: this.#model,
    };
  }

  #start({ index, content_block: start }: RawContentBlockStartEvent): ModelEvent | undefined {
    let block: Block;
    switch (start.type) {
      case 'text':
        block = { type: 'text', text: start.text };
        break;
      case 'thinking':
        block = { type: 'thinking', thinking: start.thinking, signature: start.signature };
        break;
      case 'redacted_thinking':
        block = { type: 'redacted_thinking', data: start.data };
        break;
      case 'tool_use':
        block = { type: 'tool_use', id: start.id, name: start.name, input: isObject(start.input) ? start.input : {} };
        break;
      default:
        return undefined;
    }
    const position = this.#content.push(block) - 1;
    this.#open.set(index, { position, block, json: '' });
    if (block.type === 'text' && block.text !== '') return { type: 'text', block: position, text: block.text };
    return undefined;
  }

  #append({ index, delta }: RawContentBlockDeltaEvent): ModelEvent | undefined {
    const open = this.#open.get(index);
    if (!open) return undefined;
    const { block, position } = open;
    if (delta.type === 'text_delta' && block.type === 'text') {
      block.text += delta.text;
      return delta.text === '' ? undefined : { type: 'text', block: position, text: delta.text };
    }
    if (delta.type === 'thinking_delta' && block.type === 'thinking') {
      block.thinking += delta.thinking;
      return delta.thinking === '' ? undefined : { type: 'thinking', block: position, text: delta.thinking };
    }
    if (delta.type === 'signature_delta' && block.type === 'thinking') block.signature = delta.signature;
    if (delta.type === 'input_json_delta') open.json += delta.partial_json;
    return undefined;
  }

  #finish(index: number): void {
    const open = this.#open.get(index);
    this.#open.delete(index);
    if (open?.block.type !== 'tool_use' || open.json === '') return; // no arguments came: the input of the block's start is complete
    const input = parseObject(open.json);
    if (input) open.block.input = input;
    else this.#invalidInput.push(open.block.id);
  }

  /** The API's figures are cumulative, so the last one of each counts. */
  #count(usage: {
    input_tokens?: number | null;
    output_tokens?: number | null;
    cache_read_input_tokens?: number | null;
    cache_creation_input_tokens?: number | null;
  }): void {
    this.#usage.inputTokens = usage.input_tokens ?? this.#usage.inputTokens;
    this.#usage.outputTokens = usage.output_tokens ?? this.#usage.outputTokens;
    this.#usage.cacheReadTokens = usage.cache_read_input_tokens ?? this.#usage.cacheReadTokens;
    this.#usage.cacheWriteTokens = usage.cache_creation_input_tokens ?? this.#usage.cacheWriteTokens;
  }

  #mapStopReason(): ModelAnswer['stopReason'] {
    switch (this.#stopReason) {
      case 'tool_use':
      case 'max_tokens':
      case 'refusal':
        return this.#stopReason;
      case 'model_context_window_exceeded':
        return 'max_tokens';
      default: // end_turn, stop_sequence, pause_turn (only with tools that the API runs), reasons of a later API
        return 'end_turn';
    }
  }
}

function parseObject(json: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined; // the caller tells the model that its arguments are no JSON
  }
}
