/** Makes a model request that the Messages API accepts, whatever the transcript holds. Pure; agent threads. */
import type {
  ContentBlockParam,
  MessageCreateParamsStreaming,
  MessageParam,
  TextBlockParam,
  Tool,
} from '@anthropic-ai/sdk/resources/messages';
import type { TranscriptMessage } from '../store/store.js';
import { to2020 } from '../schema/to-2020.js';
import { cleanBlock, isObject, toolName } from './clean-blocks.js';
import { limitImages } from './limit-images.js';
import type { ModelRequest, ModelTool } from './model.js';
import { repairTranscript } from './repair-transcript.js';
import { wellFormed } from './well-formed.js';

const CACHED = { type: 'ephemeral' } as const;
const PROPERTY_NAME = /^[a-zA-Z0-9_.-]{1,64}$/;
/** Added where the user's message is missing at the end, since the API wants one there. */
const GO_ON = 'Continue.';

/** Consecutive messages of one role, as one message. */
interface RoleMessage {
  role: TranscriptMessage['role'];
  content: ContentBlockParam[];
}

/**
 * Sets four breakpoints of the prompt cache, the API's maximum: tools, system, the newest user message, and the one before it,
 * where the last request wrote its entry.
 */
export function toRequest(request: ModelRequest, thinkingTokens: number): MessageCreateParamsStreaming {
  const messages = toMessages(request.messages);
  const thinks = thinkingTokens >= 1024 && thinkingTokens < request.maxTokens && !continuesWithoutThinking(messages);
  return wellFormed({
    model: request.model,
    max_tokens: request.maxTokens,
    stream: true,
    ...toSystem(request),
    ...(request.tools.length === 0 ? {} : { tools: toTools(request.tools) }),
    ...(thinks ? { thinking: { type: 'enabled', budget_tokens: thinkingTokens, display: 'summarized' } } : {}),
    messages,
  });
}

function toSystem({ system, note = '' }: ModelRequest): Pick<MessageCreateParamsStreaming, 'system'> {
  const blocks: TextBlockParam[] = [
    ...(system.trim() === '' ? [] : [{ type: 'text' as const, text: system, cache_control: CACHED }]),
    ...(note === '' ? [] : [{ type: 'text' as const, text: note }]),
  ];
  return blocks.length > 0 ? { system: blocks } : {};
}

/** Messages of alternating roles that begin and end with the user's; results come first in each. The transcript stays unchanged. */
export function toMessages(transcript: readonly TranscriptMessage[]): MessageParam[] {
  const cleaned = transcript.map(({ role, content }) => ({
    role,
    content: content.flatMap((block) => cleanBlock(block, role) ?? []),
  }));
  const runs: RoleMessage[] = [];
  for (const { role, content } of repairTranscript(dropDanglingThinking(cleaned)).messages) {
    const blocks = content as ContentBlockParam[]; // the repair adds only tool_result and text blocks
    const last = runs.at(-1);
    if (last?.role === role) last.content.push(...blocks);
    else runs.push({ role, content: [...blocks] });
  }
  if (runs.at(-1)?.role !== 'user') runs.push({ role: 'user', content: [{ type: 'text', text: GO_ON }] });
  limitImages(runs);
  const ofUser = runs.filter(({ role }) => role === 'user');
  for (const run of ofUser) run.content = resultsFirst(run.content);
  for (const run of ofUser.slice(-2)) markLast(run.content);
  return runs;
}

/** Drops thinking at the end of a message, where an answer was cut off: the API refuses it there. */
function dropDanglingThinking(messages: RoleMessage[]): RoleMessage[] {
  return messages.map(({ role, content }) => ({
    role,
    content: content.slice(0, content.findLastIndex((block) => !isThinking(block)) + 1),
  }));
}

function resultsFirst(content: ContentBlockParam[]): ContentBlockParam[] {
  const results = content.filter((block) => block.type === 'tool_result');
  return results.length === 0 ? content : [...results, ...content.filter((block) => block.type !== 'tool_result')];
}

/** Marks the last block of a user message, which may be text, an image or a tool result: all can carry the marker. */
function markLast(content: ContentBlockParam[]): void {
  const block = content.at(-1);
  if (block) content[content.length - 1] = { ...block, cache_control: CACHED } as ContentBlockParam;
}

/**
 * With a thinking budget, an answer that tool results continue must begin with its thinking. When it does not, because
 * thinking was off or the signature is lost, the rest of the turn goes on without thinking.
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

/** Of two tools with one name the first counts: the API refuses the whole request for the second. */
function toTools(tools: readonly ModelTool[]): Tool[] {
  const byName = new Map<string, Tool>();
  for (const tool of tools) {
    const name = toolName(tool.name);
    if (byName.has(name)) continue;
    const description = tool.description === '' ? {} : { description: tool.description };
    byName.set(name, { name, ...description, input_schema: toInputSchema(tool) });
  }
  return [...byName.values()].map((tool, index) =>
    index === byName.size - 1 ? { ...tool, cache_control: CACHED } : tool,
  );
}

const schemas = new WeakMap<ModelTool, Tool.InputSchema>();

/**
 * The catalogue has converted the schema with more care; whatever comes from elsewhere loses what the API refuses. The check of
 * the arguments still uses the server's own.
 */
function toInputSchema(tool: ModelTool): Tool.InputSchema {
  let schema = schemas.get(tool);
  if (!schema) {
    const { oneOf: _oneOf, allOf: _allOf, anyOf: _anyOf, ...rest } = to2020(tool.inputSchema);
    schema = { ...withGoodNames(rest), type: 'object' };
    schemas.set(tool, schema);
  }
  return schema;
}

function withGoodNames(schema: Record<string, unknown>): Record<string, unknown> {
  const { properties } = schema;
  if (!isObject(properties)) return schema;
  const good = Object.entries(properties).filter(([name]) => PROPERTY_NAME.test(name));
  return { ...schema, properties: Object.fromEntries(good) };
}
