/** The demo model: a script without key and network that calls tools for a few plain phrases. Agent threads. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TranscriptMessage } from '../store/store.js';
import { DEMO_HELP, readCall, readPhrases, type DemoCall } from './demo-phrases.js';
import type { Model, ModelAnswer, ModelEvent, ModelRequest } from './model.js';
import { abortable, cancelled } from '../../../src/shared/abort.js';

export interface DemoOptions {
  /** Pause between words, in ms. */
  delayMs?: number;
}

const DELAY_MS = 15;
const MAX_SHOWN = 2_000;
/** Begins the text with which a model is told that a user, a rule or the deadline has denied a call. */
const DENIAL = /^(?:the user denied|this call is denied|nobody approved|nobody can be asked)/i;

interface Answer {
  text: string;
  calls: DemoCall[];
}

export function createDemoModel({ delayMs = DELAY_MS }: DemoOptions = {}): Model {
  async function* stream(request: ModelRequest, signal: AbortSignal): AsyncGenerator<ModelEvent, void, undefined> {
    const { text, calls } = decide(request);
    for (const word of text.match(/\s*\S+/g) ?? []) {
      await abortable(() => sleep(delayMs, undefined, { signal }), signal);
      yield { type: 'text', block: 0, text: word };
    }
    if (signal.aborted) throw cancelled();
    const content = [
      { type: 'text', text },
      // Ids are random, since a session may outlive many processes and must never see an id twice.
      ...calls.map(({ name, input }) => ({ type: 'tool_use', id: `toolu_demo_${randomUUID()}`, name, input })),
    ];
    const answer: ModelAnswer = {
      content,
      stopReason: calls.length > 0 ? 'tool_use' : 'end_turn',
      usage: {
        inputTokens: estimateTokens(request.messages) + estimateTokens(request.tools) + estimateTokens(request.system),
        outputTokens: estimateTokens(content),
        cacheReadTokens: 0,
        cacheWriteTokens: 0,
      },
      model: 'demo',
    };
    yield { type: 'done', answer };
  }

  return { provider: 'demo', stream };
}

/** Equal transcripts and tools give equal words and calls. */
function decide({ messages, tools }: ModelRequest): Answer {
  const last = messages.at(-1);
  const results = last?.role === 'user' ? last.content.filter(isToolResult) : [];
  const said = last ? messageText(last) : '';
  if (results.length > 0 && said === '') return { text: results.map(tell).join('\n\n'), calls: [] };
  const call = readCall(said, tools);
  if (typeof call === 'string') return { text: call, calls: [] };
  const calls = call ? [call] : readPhrases(said, tools);
  if (calls === undefined) {
    return { text: 'This is the demo model. I understand that, but the tool it needs is not offered here.', calls: [] };
  }
  if (calls.length > 0) return { text: `I will use ${calls.map(({ name }) => name).join(' and ')}.`, calls };
  return { text: `This is the demo model: it answers from a script. ${DEMO_HELP}`, calls: [] };
}

interface ToolResult {
  type: 'tool_result';
  content?: unknown;
  is_error?: boolean;
}

function tell(result: ToolResult): string {
  const text = textIn(result.content).trim();
  const shown = text.length > MAX_SHOWN ? `${shorten(text)} … (shortened)` : text;
  if (result.is_error !== true) return shown === '' ? 'Done; there was no output.' : `Here is the result:\n${shown}`;
  return DENIAL.test(text) ? `All right, I leave that. ${shown}` : `That did not work: ${shown}`;
}

/** Never splits a surrogate pair. */
function shorten(text: string): string {
  return text
    .slice(0, MAX_SHOWN)
    .replace(/[\uD800-\uDBFF]$/, '')
    .trimEnd();
}

function messageText(message: TranscriptMessage): string {
  return textIn(message.content).trim();
}

function textIn(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .map((block: { type?: unknown; text?: unknown } | null) =>
      block?.type === 'text' && typeof block.text === 'string' ? block.text : '',
    )
    .filter((text) => text !== '')
    .join('\n');
}

function isToolResult(block: unknown): block is ToolResult {
  return (block as { type?: unknown } | null)?.type === 'tool_result';
}

/** Estimates four characters per token. */
function estimateTokens(value: unknown): number {
  return Math.ceil((JSON.stringify(value)?.length ?? 0) / 4);
}
