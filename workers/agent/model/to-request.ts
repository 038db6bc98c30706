/** A model request as the Messages API takes it: always valid, whatever the transcript holds. Pure; agent threads. */
import type {
  ContentBlockParam,
  MessageCreateParamsStreaming,
  MessageParam,
  TextBlockParam,
  Tool,
} from '@anthropic-ai/sdk/resources/messages';
import type { TranscriptMessage } from '../store/store.js';
import { cleanBlock } from './clean-blocks.js';
import type { ModelRequest, ModelTool } from './model.js';
import { repairTranscript } from './repair-transcript.js';

const CACHED = { type: 'ephemeral' } as const;
/** The API wants the last word to be the user's; a transcript that does not end so gets this one. */
const GO_ON = 'Continue.';

interface Run {
  role: TranscriptMessage['role'];
  content: ContentBlockParam[];
}

/**
 * Four breakpoints of the prompt cache, the API's most: tools, system, the newest user message, and the one before it,
 * where the last request wrote its entry.
 */
export function toRequest(request: ModelRequest, thinkingTokens: number): MessageCreateParamsStreaming {
  const messages = toMessages(request.messages);
  const thinks = thinkingTokens >= 1024 && thinkingTokens < request.maxTokens && !continuesWithoutThinking(messages);
  return {
    model: request.model,
    max_tokens: request.maxTokens,
    stream: true,
    ...toSystem(request),
    ...(request.tools.length === 0 ? {} : { tools: toTools(request.tools) }),
    ...(thinks ? { thinking: { type: 'enabled', budget_tokens: thinkingTokens, display: 'summarized' } } : {}),
    messages,
  };
}

function toSystem({ system, note = '' }: ModelRequest): Pick<MessageCreateParamsStreaming, 'system'> {
  const blocks: TextBlockParam[] = [
    ...(system.trim() === '' ? [] : [{ type: 'text' as const, text: system, cache_control: CACHED }]),
    ...(note === '' ? [] : [{ type: 'text' as const, text: note }]),
  ];
  return blocks.length > 0 ? { system: blocks } : {};
}

/** Messages of alternating roles, the user's first and last, results before all else. The transcript is not touched. */
export function toMessages(transcript: readonly TranscriptMessage[]): MessageParam[] {
  const cleaned = transcript.map(({ role, content }) => ({
    role,
    content: content.flatMap((block) => cleanBlock(block, role) ?? []),
  }));
  const runs: Run[] = [];
  for (const { role, content } of repairTranscript(dropDanglingThinking(cleaned)).messages) {
    const blocks = content as ContentBlockParam[]; // the repair adds tool_result and text blocks only
    const last = runs.at(-1);
    if (last?.role === role) last.content.push(...blocks);
    else runs.push({ role, content: [...blocks] });
  }
  if (runs.at(-1)?.role !== 'user') runs.push({ role: 'user', content: [{ type: 'text', text: GO_ON }] });
  const ofUser = runs.filter(({ role }) => role === 'user');
  for (const run of ofUser) run.content = resultsFirst(run.content);
  for (const run of ofUser.slice(-2)) markLast(run.content);
  return runs;
}

/** Thinking that nothing follows (the answer was cut there) is refused at the end of an assistant message. */
function dropDanglingThinking(messages: Run[]): Run[] {
  return messages.map(({ role, content }) => ({
    role,
    content: content.slice(0, content.findLastIndex((block) => !isThinking(block)) + 1),
  }));
}

function resultsFirst(content: ContentBlockParam[]): ContentBlockParam[] {
  const results = content.filter((block) => block.type === 'tool_result');
  return results.length === 0 ? content : [...results, ...content.filter((block) => block.type !== 'tool_result')];
}

/** User messages hold text, images and tool results: all of them can carry the marker. */
function markLast(content: ContentBlockParam[]): void {
  const block = content.at(-1);
  if (block) content[content.length - 1] = { ...block, cache_control: CACHED } as ContentBlockParam;
}

/**
 * With a thinking budget, the answer that tool results continue must open with its thinking. Where it does not (thinking
 * was off, or its signature is lost) the rest of the turn goes on without.
 */
function continuesWithoutThinking(messages: readonly MessageParam[]): boolean {
  const last = messages.at(-1)?.content;
  const first = messages.at(-2)?.content[0];
  if (!Array.isArray(last) || last[0]?.type !== 'tool_result') return false;
  return first === undefined || typeof first === 'string' || !isThinking(first);
}

function isThinking(block: ContentBlockParam): boolean {
  return block.type === 'thinking' || block.type === 'redacted_thinking';
}

function toTools(tools: readonly ModelTool[]): Tool[] {
  return tools.map(({ name, description, inputSchema }, index) => ({
    name,
    ...(description === '' ? {} : { description }),
    input_schema: toInputSchema(inputSchema),
    ...(index === tools.length - 1 ? { cache_control: CACHED } : {}),
  }));
}

/** The API refuses these three at the top of a schema; the tool's own check of the arguments still knows them. */
function toInputSchema(schema: Record<string, unknown>): Tool.InputSchema {
  const { oneOf: _oneOf, allOf: _allOf, anyOf: _anyOf, ...rest } = schema;
  return { ...rest, type: 'object' };
}
