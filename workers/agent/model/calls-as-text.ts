/** Writes calls and their results as text, for a request without tools: APIs refuse calls where no tool is defined. Pure; agent threads. */
import type {
  ContentBlockParam,
  ImageBlockParam,
  MessageParam,
  TextBlockParam,
  ToolResultBlockParam,
} from '@anthropic-ai/sdk/resources/messages';
import { isThinking } from './to-messages.js';
import type { Withheld } from './withheld.js';

/** Returns copies; a message without calls and results is itself. The API may refuse these texts too, so they can be withheld. */
export function callsAsText(messages: readonly MessageParam[], withheld: Withheld): MessageParam[] {
  const names = new Map<string, string>();
  return messages.map((message) => {
    const { content } = message;
    if (typeof content === 'string' || !content.some(isOfCall)) return message;
    // Thinking is signed for the calls behind it.
    const kept = content.some(({ type }) => type === 'tool_use')
      ? content.filter((block) => !isThinking(block))
      : content;
    const texts = kept.flatMap((block) => written(block, names));
    return { ...message, content: withheld.cover(texts) } as MessageParam;
  });
}

function isOfCall({ type }: ContentBlockParam): boolean {
  return type === 'tool_use' || type === 'tool_result';
}

function written(block: ContentBlockParam, names: Map<string, string>): ContentBlockParam[] {
  switch (block.type) {
    case 'tool_use':
      names.set(block.id, block.name);
      return [{ type: 'text', text: `[Called ${block.name} with ${JSON.stringify(block.input)}]` }];
    case 'tool_result':
      return marked(block, resultParts(block, names.get(block.tool_use_id) ?? 'a tool'));
    default:
      return [block];
  }
}

function resultParts({ content, is_error: isError }: ToolResultBlockParam, name: string): ContentBlockParam[] {
  const head: TextBlockParam = { type: 'text', text: `[${isError ? 'Error' : 'Result'} of ${name}:]` };
  if (typeof content === 'string') return content.trim() === '' ? [head] : [head, { type: 'text', text: content }];
  const parts = (content ?? []).filter(
    (part): part is TextBlockParam | ImageBlockParam => part.type === 'text' || part.type === 'image',
  );
  return [head, ...parts];
}

/** The cache's marker goes to the last part. */
function marked({ cache_control: marker }: ToolResultBlockParam, parts: ContentBlockParam[]): ContentBlockParam[] {
  const last = parts.at(-1);
  return marker && last ? [...parts.slice(0, -1), { ...last, cache_control: marker } as ContentBlockParam] : parts;
}
