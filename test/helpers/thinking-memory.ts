/** What the stand-in model thought before it called tools: the real API refuses to go on when that comes back changed. */
import { isObject } from './messages-rules.js';
import type { SentBlock } from './model-stream.js';

/** Answers remembered; beyond it the oldest is forgotten, and what it thought is no longer checked. */
const MAX_REMEMBERED = 10_000;

export class ThinkingMemory {
  /** tool_use id → the thinking blocks of its answer. */
  readonly #byToolUse = new Map<string, SentBlock[]>();

  remember(sent: SentBlock[]): void {
    const thinking = sent.filter((block) => block.type === 'thinking' || block.type === 'redacted_thinking');
    if (thinking.length === 0) return;
    for (const block of sent) {
      if (block.type !== 'tool_use') continue;
      this.#byToolUse.set(String(block['id']), thinking);
      if (this.#byToolUse.size > MAX_REMEMBERED) this.#byToolUse.delete(this.#byToolUse.keys().next().value ?? '');
    }
  }

  /** Judges the assistant message that the last message's tool results continue. */
  check(body: unknown): string[] {
    if (this.#byToolUse.size === 0 || !isObject(body) || !Array.isArray(body['messages'])) return [];
    const messages = body['messages'] as unknown[];
    const continued = messages.findLast((message) => isObject(message) && message['role'] === 'assistant');
    if (!isObject(continued) || !Array.isArray(continued['content']) || messages.at(-1) === continued) return [];
    const blocks = (continued['content'] as unknown[]).filter(isObject);
    const known = blocks
      .filter((block) => block['type'] === 'tool_use')
      .map((block) => this.#byToolUse.get(String(block['id'])))
      .find((thinking) => thinking !== undefined);
    if (!known) return [];
    const firstTool = blocks.findIndex((block) => block['type'] === 'tool_use');
    const kept = blocks.slice(0, firstTool).filter((block) => String(block['type']).endsWith('thinking'));
    const same = kept.length === known.length && known.every((block, i) => sameBlock(block, kept[i]));
    return same
      ? []
      : [
          `messages.${messages.indexOf(continued)}: \`thinking\` or \`redacted_thinking\` blocks in the latest assistant ` +
            'message cannot be modified. These blocks must remain as they were in the original response.',
        ];
  }
}

function sameBlock(sent: SentBlock, kept: Record<string, unknown> | undefined): boolean {
  return kept !== undefined && Object.entries(sent).every(([key, value]) => kept[key] === value);
}
