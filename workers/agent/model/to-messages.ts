/** Makes messages that the Messages API accepts, whatever the transcript holds. Pure; agent threads. */
import type { ContentBlockParam, MessageParam } from '@anthropic-ai/sdk/resources/messages';
import type { TranscriptMessage } from '../store/store.js';
import { cleanBlock } from './clean-blocks.js';
import { limitImages } from './limit-images.js';
import { repairTranscript } from './repair-transcript.js';
import { wellFormed } from './well-formed.js';
import { Withheld, type RoleMessage } from './withheld.js';

export const CACHED = { type: 'ephemeral' } as const;
/** Added where the user's message is missing at the end, since the API wants one there. */
const GO_ON = 'Continue.';

/** Messages of alternating roles that begin and end with the user's; results come first in each. The transcript stays unchanged. */
export function toMessages(transcript: readonly TranscriptMessage[], withheld = new Withheld()): MessageParam[] {
  const runs = withheld.apply(toRuns(transcript));
  limitImages(runs);
  const ofUser = runs.filter(({ role }) => role === 'user');
  for (const run of ofUser) run.content = resultsFirst(run.content);
  for (const run of ofUser.slice(-2)) markLast(run.content);
  return runs;
}

/** Consecutive messages of one role as one, cleaned and repaired; copies, with all that is withheld later. */
export function toRuns(transcript: readonly TranscriptMessage[]): RoleMessage[] {
  const cleaned = transcript.map(({ role, content }) => ({
    role,
    content: content.flatMap((block) => wellFormed(cleanBlock(block, role)) ?? []),
  }));
  const runs: RoleMessage[] = [];
  for (const { role, content } of repairTranscript(dropDanglingThinking(cleaned)).messages) {
    const blocks = content as ContentBlockParam[]; // the repair adds only tool_result and text blocks
    const last = runs.at(-1);
    if (last?.role === role) last.content.push(...blocks);
    else runs.push({ role, content: [...blocks] });
  }
  if (runs.at(-1)?.role !== 'user') runs.push({ role: 'user', content: [{ type: 'text', text: GO_ON }] });
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

export function isThinking(block: ContentBlockParam): boolean {
  return block.type === 'thinking' || block.type === 'redacted_thinking';
}
