/**
 * Builds one answer from the Messages API's stream events, and from what gateways make of them: each field may be missing or of
 * another kind. Agent threads.
 */
import { randomBytes } from 'node:crypto';
import { countUsage } from './answer-usage.js';
import { isObject } from './clean-blocks.js';
import { weighBlock, weighText } from './context-weight.js';
import type { Usage } from '../../../src/shared/protocol.js';
import type { ModelAnswer, ModelEvent } from './model.js';

export type Json = Record<string, unknown>;

type Block =
  | { type: 'text'; text: string }
  | { type: 'thinking'; thinking: string; signature: string }
  | { type: 'redacted_thinking'; data: string }
  | { type: 'tool_use'; id: string; name: string; input: Json };

interface OpenBlock {
  /** Index in the answer. Blocks of unknown kinds are left out and not counted. */
  position: number;
  block: Block;
  /** A tool's arguments so far. */
  json: string;
  /** Half a pair at the end of what came: its other half may come next. */
  half: string;
  isClosed: boolean;
}

/** Of gateways too, which hand on the words of the model behind them. */
const CUT_SHORT = new Map<string, 'max_tokens' | 'refusal'>([
  ['max_tokens', 'max_tokens'],
  ['model_context_window_exceeded', 'max_tokens'],
  ['length', 'max_tokens'],
  ['refusal', 'refusal'],
  ['content_filter', 'refusal'],
  ['safety', 'refusal'],
]);

export class AnswerBuilder {
  readonly #blocks: OpenBlock[] = [];
  /** The newest block of each of the API's indexes; null for one that is passed over. */
  readonly #byIndex = new Map<number, OpenBlock | null>();
  #stopReason: string | undefined;
  #model: string;
  readonly #usage = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 };
  #isComplete = false;

  constructor(model: string) {
    this.#model = model;
  }

  /** True after message_stop: nothing more is waited for. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /**
   * Whether the answer is whole though its stream has ended without message_stop. With a reason to stop it is. Without one it is
   * when the stream `ended` in order, not in the middle of a block.
   */
  isWhole(ended: boolean): boolean {
    if (this.#isComplete || this.#stopReason !== undefined) return true;
    return ended && this.#blocks.length > 0 && this.#blocks.every(({ isClosed }) => isClosed);
  }

  /** Takes one event and returns what to stream on. */
  take(event: Json): ModelEvent | undefined {
    countUsage(this.#usage, event['usage']);
    switch (event['type']) {
      case 'message_start':
        if (isObject(event['message'])) this.#begin(event['message']);
        return undefined;
      case 'content_block_start':
        return this.#start(event['index'], event['content_block']);
      case 'content_block_delta':
        return isObject(event['delta']) ? this.#append(event['index'], event['delta']) : undefined;
      case 'content_block_stop': {
        const open = this.#at(event['index']);
        if (!open) return undefined;
        open.isClosed = true;
        return ended(open);
      }
      case 'message_delta':
        if (isObject(event['delta'])) this.#stop(event['delta']['stop_reason']);
        return undefined;
      case 'message_stop':
        this.#isComplete = true;
        return undefined;
      default:
        return undefined; // an event of a later API
    }
  }

  /** What an answer has used that breaks off: the API counts what it has written only at the end, so that is estimated. */
  usageSoFar(): Usage {
    const written = this.#blocks.reduce((sum, { block, json }) => sum + weighBlock(block) + weighText(json), 0);
    return { ...this.#usage, outputTokens: Math.max(this.#usage.outputTokens, Math.ceil(written)) };
  }

  answer(): ModelAnswer {
    const invalidInput = this.#blocks.flatMap((open) => (finishInput(open) ? [] : [(open.block as { id: string }).id]));
    return {
      content: this.#blocks.map(({ block }) => block),
      ...(invalidInput.length === 0 ? {} : { invalidInput }),
      stopReason: this.#mapStopReason(),
      usage: this.#usage,
      model: this.#model,
    };
  }

  #begin({ model, usage }: Json): void {
    if (typeof model === 'string' && model !== '') this.#model = model;
    countUsage(this.#usage, usage);
  }

  #start(index: unknown, start: unknown): ModelEvent | undefined {
    const block = toBlock(start);
    if (!block) {
      const key = keyOf(index);
      if (key !== undefined) this.#byIndex.set(key, null);
      return undefined;
    }
    const open = this.#open(block, index);
    // An answer that is not streamed has its texts here.
    if (block.type === 'text') return streamed(open, block.text);
    return block.type === 'thinking' ? streamed(open, block.thinking) : undefined;
  }

  #append(index: unknown, { type, text, thinking, signature, partial_json: json }: Json): ModelEvent | undefined {
    const known = this.#at(index);
    if (known === null) return undefined;
    switch (type) {
      case 'text_delta':
        return this.#say('text', stringOf(text), known, index);
      case 'thinking_delta':
        return this.#say('thinking', stringOf(thinking), known, index);
      case 'signature_delta':
        if (known?.block.type === 'thinking') known.block.signature = stringOf(signature);
        return undefined;
      case 'input_json_delta':
        if (known) known.json += stringOf(json);
        return undefined;
      default:
        return undefined;
    }
  }

  /** A block is begun where the stream has told of none, or of one of another kind: words are never lost. */
  #say(type: 'text' | 'thinking', words: string, known: OpenBlock | undefined, index: unknown): ModelEvent | undefined {
    if (words === '') return undefined;
    const newest = known && this.#blocks.at(-1);
    const open =
      [known, newest].find((each) => each?.block.type === type) ??
      this.#open(toBlock({ type })!, known ? undefined : index);
    if (open.block.type === 'text') open.block.text += words;
    else if (open.block.type === 'thinking') open.block.thinking += words;
    return streamed(open, words);
  }

  /** Deltas without an index are for the newest block. */
  #open(block: Block, index: unknown): OpenBlock {
    const open: OpenBlock = { position: this.#blocks.length, block, json: '', half: '', isClosed: false };
    this.#blocks.push(open);
    const key = keyOf(index);
    if (key !== undefined) this.#byIndex.set(key, open);
    return open;
  }

  /** Null for a block that is passed over; undefined for one that the stream has not begun. */
  #at(index: unknown): OpenBlock | null | undefined {
    const key = keyOf(index);
    return key === undefined ? this.#blocks.at(-1) : this.#byIndex.get(key);
  }

  #stop(reason: unknown): void {
    if (typeof reason === 'string' && reason !== '') this.#stopReason = reason.toLowerCase();
  }

  /**
   * What the answer holds counts before its reason to stop: calls run, also with `end_turn`, a reason of a later API or of another
   * model, or none. Only an answer that was cut off or refused may hold half a call.
   */
  #mapStopReason(): ModelAnswer['stopReason'] {
    const cut = CUT_SHORT.get(this.#stopReason ?? '');
    if (cut !== undefined) return cut;
    return this.#blocks.some(({ block }) => block.type === 'tool_use') ? 'tool_use' : 'end_turn';
  }
}

/** An answer that was not streamed, as the events of one that was. */
export function unfold(event: Json): Json[] {
  if (event['type'] !== 'message') return [event];
  const { content, stop_reason: reason, usage, ...message } = event;
  const blocks: unknown[] = typeof content === 'string' ? [{ type: 'text', text: content }] : arrayOf(content);
  return [
    { type: 'message_start', message },
    ...blocks.flatMap((block, index) => [
      { type: 'content_block_start', index, content_block: block },
      { type: 'content_block_stop', index },
    ]),
    { type: 'message_delta', delta: { stop_reason: reason }, usage },
    { type: 'message_stop' },
  ];
}

/**
 * Undefined for a kind that is not known. A call gets an id of ours: those of gateways may break the API's rules, be the same for two
 * calls, or come again in a later round, and calls are known by their ids.
 */
function toBlock(start: unknown): Block | undefined {
  if (!isObject(start)) return undefined;
  switch (start['type']) {
    case 'text':
      return { type: 'text', text: stringOf(start['text']) };
    case 'thinking':
      return { type: 'thinking', thinking: stringOf(start['thinking']), signature: stringOf(start['signature']) };
    case 'redacted_thinking':
      return { type: 'redacted_thinking', data: stringOf(start['data']) };
    case 'tool_use': {
      const { input } = start;
      const given = typeof input === 'string' ? parseObject(input) : input;
      const id = `toolu_${randomBytes(12).toString('hex')}`;
      return { type: 'tool_use', id, name: stringOf(start['name']) || '_', input: isObject(given) ? given : {} };
    }
    default:
      return undefined;
  }
}

/** False when a call's arguments are no JSON object. Without any, the input of the block's start is complete. */
function finishInput({ block, json }: OpenBlock): boolean {
  if (block.type !== 'tool_use' || json.trim() === '') return true;
  const input = parseObject(json);
  if (input) block.input = input;
  return input !== undefined;
}

/** `null` is how some models call a tool without arguments. */
function parseObject(json: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(json) ?? {};
    return isObject(value) ? value : undefined;
  } catch {
    return undefined; // the caller tells the model that its arguments are no JSON
  }
}

function streamed(open: OpenBlock, words: string): ModelEvent | undefined {
  const { position, block } = open;
  const whole = open.half + words;
  open.half = /[\ud800-\udbff]$/.test(whole) ? whole.slice(-1) : '';
  const text = open.half === '' ? whole : whole.slice(0, -1);
  if (text === '' || (block.type !== 'text' && block.type !== 'thinking')) return undefined;
  return { type: block.type, block: position, text };
}

/** What was kept for a half that did not come. */
function ended({ position, block, half }: OpenBlock): ModelEvent | undefined {
  if (half === '' || (block.type !== 'text' && block.type !== 'thinking')) return undefined;
  return { type: block.type, block: position, text: '\ufffd' };
}

/** Undefined for what is no index: the newest block is meant then. */
function keyOf(index: unknown): number | undefined {
  if (Number.isInteger(index)) return index as number;
  return typeof index === 'string' && /^\d{1,9}$/.test(index) ? Number(index) : undefined;
}

function stringOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function arrayOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
