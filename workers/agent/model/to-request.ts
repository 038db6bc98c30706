/** Makes a model request that the Messages API accepts: the one door to it. Pure; agent threads. */
import type {
  MessageCreateParamsStreaming,
  MessageParam,
  TextBlockParam,
  ThinkingConfigParam,
  Tool,
} from '@anthropic-ai/sdk/resources/messages';
import type { ModelRequest } from './model.js';
import type { Traits } from './model-traits.js';
import { callsAsText } from './calls-as-text.js';
import { CACHED, isThinking, toMessages, toRuns } from './to-messages.js';
import { toTools } from './to-tools.js';
import { wellFormed } from './well-formed.js';
import { turnKey, Withheld } from './withheld.js';

/**
 * Sets four breakpoints of the prompt cache, the API's maximum: tools, system, the newest user message, and the one before it,
 * where the last request wrote its entry.
 */
export function toRequest(
  request: ModelRequest,
  { thinking, maxTokens, uncached }: Traits,
  withheld = new Withheld(request.withheld),
): MessageCreateParamsStreaming {
  const { tools, note } = toTools(request.tools, withheld, () => turnKey(toRuns(request.messages)));
  const whole = toMessages(request.messages, withheld);
  const messages = tools.length === 0 ? callsAsText(whole, withheld) : whole;
  const body: MessageCreateParamsStreaming = {
    model: request.model,
    max_tokens: maxTokens,
    stream: true,
    ...toSystem(request.system, [request.note ?? '', note]),
    ...(tools.length === 0 ? {} : { tools: tools.map(markLast) }),
    ...(thinking && mayThink(thinking, messages) ? { thinking } : {}),
    messages,
  };
  return uncached ? withoutMarkers(body) : body;
}

function withoutMarkers({
  system,
  tools,
  messages,
  ...body
}: MessageCreateParamsStreaming): MessageCreateParamsStreaming {
  return {
    ...body,
    ...(Array.isArray(system) ? { system: system.map(unmarked) } : {}),
    ...(tools ? { tools: tools.map(unmarked) } : {}),
    messages: messages.map((message) =>
      typeof message.content === 'string'
        ? message
        : ({ ...message, content: message.content.map(unmarked) } as MessageParam),
    ),
  };
}

function unmarked<T extends object>(part: T): T {
  const { cache_control: _marker, ...rest } = part as T & { cache_control?: unknown };
  return rest as T;
}

function toSystem(system: string, notes: readonly string[]): Pick<MessageCreateParamsStreaming, 'system'> {
  const blocks: TextBlockParam[] = [
    ...(system.trim() === '' ? [] : [{ type: 'text' as const, text: system, cache_control: CACHED }]),
    ...notes.filter((note) => note.trim() !== '').map((text) => ({ type: 'text' as const, text })),
  ];
  return blocks.length > 0 ? { system: wellFormed(blocks) } : {};
}

function markLast(tool: Tool, index: number, { length }: readonly Tool[]): Tool {
  return index === length - 1 ? { ...tool, cache_control: CACHED } : tool;
}

/**
 * With a thinking budget, an answer that tool results continue must begin with its thinking. When it does not, because
 * thinking was off or the signature is lost, the rest of the turn goes on without thinking.
 */
function mayThink(thinking: ThinkingConfigParam, messages: readonly MessageParam[]): boolean {
  if (thinking.type !== 'enabled') return true;
  const last = messages.at(-1)?.content;
  const first = messages.at(-2)?.content[0];
  if (!Array.isArray(last) || last[0]?.type !== 'tool_result') return true;
  return first !== undefined && typeof first !== 'string' && isThinking(first);
}
