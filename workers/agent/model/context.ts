/** Chooses the newest whole turns of a transcript that fit a budget of tokens. Pure; agent threads. */
import type { ModelContext, TranscriptMessage } from '../store/store.js';

/** A cut goes down to this share of the budget, so that the prompt cache holds for the turns after it. */
const CUT_TO = 0.6;
/** Estimates what the API has not counted yet. Higher than for prose, so that the estimate errs on the safe side. */
const TOKENS_PER_CHARACTER = 1 / 3;
/** About the maximum: an image costs by its pixels, not by its base64. */
const IMAGE_TOKENS = 1_600;

/**
 * `from` is the first message to send. It always opens a turn, so that no tool_use loses its tool_result; the newest turn is
 * never cut. `known` is the API's count with its last answer; newer messages are estimated.
 */
export function chooseContext(
  transcript: readonly TranscriptMessage[],
  known: ModelContext | null,
  budgetTokens: number,
): { from: number } {
  // A count from before the history was cleared says nothing about it.
  const counted = known && known.messages <= transcript.length ? known : { from: 0, messages: 0, tokens: 0 };
  const from = turnAtOrAfter(transcript, counted.from);
  const since = weigh(transcript, counted.messages, transcript.length);
  let tokens = counted.tokens + since;
  if (tokens <= budgetTokens) return { from };
  const guessed = weigh(transcript, from, counted.messages);
  const scale = guessed > 0 && counted.tokens > 0 ? counted.tokens / guessed : 1;
  let start = from;
  while (tokens > budgetTokens * CUT_TO) {
    const next = turnAtOrAfter(transcript, start + 1);
    if (next >= transcript.length) break;
    tokens -= weigh(transcript, start, next) * (next <= counted.messages ? scale : 1);
    start = next;
  }
  return { from: start };
}

/**
 * The messages from `from` on. The results of one answer's calls become one message in the order of the calls; they are stored
 * in the order of their arrival.
 */
export function toModelMessages(transcript: readonly TranscriptMessage[], from: number): TranscriptMessage[] {
  const messages: TranscriptMessage[] = [];
  for (const message of transcript.slice(from)) {
    const last = messages.at(-1);
    if (last && holdsResultsOnly(last) && holdsResultsOnly(message)) {
      messages[messages.length - 1] = { role: 'user', content: [...last.content, ...message.content] };
    } else messages.push(message);
  }
  return messages.map((message, index) => {
    const before = messages[index - 1];
    return before && message.content.length > 1 && holdsResultsOnly(message) ? inOrder(message, before) : message;
  });
}

function inOrder(results: TranscriptMessage, answer: TranscriptMessage): TranscriptMessage {
  const places = new Map(answer.content.map((block, index) => [fieldOf(block, 'id'), index]));
  const place = (block: unknown): number => places.get(fieldOf(block, 'tool_use_id')) ?? Infinity;
  return { role: 'user', content: results.content.toSorted((a, b) => place(a) - place(b)) };
}

/** The first message from `index` on that a user wrote; the transcript's length when there is none. */
function turnAtOrAfter(transcript: readonly TranscriptMessage[], index: number): number {
  if (index === 0) return 0;
  const found = transcript.findIndex((message, at) => at >= index && opensTurn(message));
  return found < 0 ? transcript.length : found;
}

function opensTurn({ role, content }: TranscriptMessage): boolean {
  return role === 'user' && content.some((block) => fieldOf(block, 'type') !== 'tool_result');
}

function holdsResultsOnly({ role, content }: TranscriptMessage): boolean {
  return role === 'user' && content.every((block) => fieldOf(block, 'type') === 'tool_result');
}

/** Estimated tokens of the messages from `start` to before `end`. */
function weigh(transcript: readonly TranscriptMessage[], start: number, end: number): number {
  let tokens = 0;
  for (let index = start; index < end; index++) {
    for (const block of transcript[index]?.content ?? []) tokens += weighBlock(block);
  }
  return tokens;
}

function weighBlock(block: unknown): number {
  switch (fieldOf(block, 'type')) {
    case 'image':
      return IMAGE_TOKENS;
    case 'text':
      return String(fieldOf(block, 'text')).length * TOKENS_PER_CHARACTER;
    case 'tool_result': {
      const content = fieldOf(block, 'content');
      if (Array.isArray(content)) return content.reduce((sum: number, part) => sum + weighBlock(part), 0);
      return String(content).length * TOKENS_PER_CHARACTER;
    }
    default:
      return JSON.stringify(block).length * TOKENS_PER_CHARACTER;
  }
}

function fieldOf(block: unknown, name: string): unknown {
  return typeof block === 'object' && block !== null ? (block as Record<string, unknown>)[name] : undefined;
}
