/** Chooses what of a transcript the model is sent, within a budget of tokens. Pure; agent threads. */
import type { ModelContext, TranscriptMessage } from '../store/store.js';
import { bytesFor, weighMessage } from './context-weight.js';
import type { PromptSize } from './model.js';
import { EARLIER_CUT, withoutResults, withShortResults } from './shorten.js';

/** A cut goes down to this share of the budget, so that the prompt cache holds for the turns after it. */
const CUT_TO = 0.6;
/** Earlier turns keep this share, however long the newest is: a turn of many files must not cost the memory of all else. */
const KEPT_OF_EARLIER = 0.2;
/** The most that one result may have. */
const LARGEST_RESULT = 2 / 3;
/** Of what the API says that it takes. */
const ROOM = 0.9;
/** Where it does not say, this much less is tried. */
const LESS = 0.8;
/** Even where each byte is a token, an estimate is wrong by no more. */
const MAX_SCALE = 3;
/** What is tried of a result's size, one after the other, until it seems to be enough. */
const SHARES = [1, 0.5, 0.2, 0.05];

export type StoredPart = Omit<ModelContext, 'messages' | 'tokens'>;
export type SentPart = Required<StoredPart>;

/**
 * `from` is the first message to send, which opens a turn, so that no tool_use loses its tool_result. The newest turn is always
 * sent. Before `trimmed` messages lose their results: those of earlier turns first, those of the newest turn only when it alone
 * is too long, and never the newest result. `known` is the API's count with its last answer; newer messages are estimated.
 */
export function chooseContext(
  transcript: readonly TranscriptMessage[],
  known: ModelContext | null,
  budgetTokens: number,
): SentPart {
  // A count from before the history was cleared says nothing about it.
  const counted = known && known.messages <= transcript.length ? known : { from: 0, messages: 0, tokens: 0 };
  const first = turnAtOrAfter(transcript, counted.from);
  const part: SentPart = {
    from: first,
    trimmed: Math.max(first, counted.trimmed ?? 0),
    resultBytes: Math.min(counted.resultBytes ?? Infinity, bytesFor(budgetTokens * LARGEST_RESULT)),
  };
  let tokens = counted.tokens + weigh(transcript, part, counted.messages, transcript.length);
  if (tokens <= budgetTokens) return part;
  const guessed = weigh(transcript, part, first, counted.messages);
  const scale = guessed > 0 && counted.tokens > 0 ? counted.tokens / guessed : 1;
  const weightOf = (start: number, end: number): number =>
    scale * weigh(transcript, part, start, Math.min(end, counted.messages)) +
    weigh(transcript, part, Math.max(start, counted.messages), end);
  const newest = Math.max(first, transcript.findLastIndex(opensTurn));
  const target = budgetTokens * CUT_TO;
  const trimUntil = (end: number): void => {
    for (; part.trimmed < end && tokens > target; part.trimmed++) {
      const whole = weightOf(part.trimmed, part.trimmed + 1);
      const left = weighMessage(withoutResults(transcript[part.trimmed]!, part.resultBytes));
      if (left < whole) tokens -= whole - left * (part.trimmed < counted.messages ? scale : 1);
    }
  };
  const dropUntil = (keptOfEarlier: number): void => {
    let earlier = weightOf(part.from, newest);
    while (part.from < newest && tokens > target && earlier > keptOfEarlier) {
      const next = turnAtOrAfter(transcript, part.from + 1);
      const dropped = weightOf(part.from, next);
      earlier -= dropped;
      tokens -= dropped;
      part.from = next;
      part.trimmed = Math.max(part.trimmed, next);
    }
  };
  trimUntil(newest);
  dropUntil(Math.max(target - (tokens - weightOf(part.from, newest)), budgetTokens * KEPT_OF_EARLIER));
  if (tokens <= budgetTokens) return part;
  trimUntil(transcript.findLastIndex(holdsResult));
  if (tokens > budgetTokens) dropUntil(0);
  return part;
}

/** What one request of a turn is sent, and what it is sent instead when the API finds that too long. */
export class SentContext {
  readonly #transcript: readonly TranscriptMessage[];
  #budgetTokens: number;
  #part: SentPart;

  constructor(
    transcript: readonly TranscriptMessage[],
    known: ModelContext | null,
    { historyTokens, takes = Infinity }: { historyTokens: number; takes?: number | undefined },
  ) {
    this.#transcript = transcript;
    this.#budgetTokens = Math.min(historyTokens, takes * ROOM);
    this.#part = chooseContext(transcript, known, this.#budgetTokens);
  }

  get part(): SentPart {
    return this.#part;
  }

  /** What the session keeps of it: a limit that only follows from the configuration may change with it. */
  get stored(): StoredPart {
    const { from, trimmed, resultBytes } = this.#part;
    return {
      from,
      ...(trimmed > from ? { trimmed } : {}),
      ...(resultBytes < bytesFor(this.#budgetTokens * LARGEST_RESULT) ? { resultBytes } : {}),
    };
  }

  messages(): TranscriptMessage[] {
    return toModelMessages(this.#transcript, this.#part);
  }

  /** `size`: as the API has counted the last request. Undefined when nothing is left that could be left out. */
  shorter(size: PromptSize | undefined): TranscriptMessage[] | undefined {
    const all = this.#transcript.length;
    const weight = weigh(this.#transcript, this.#part, this.#part.from, all);
    const tokens = size?.tokens ?? weight;
    this.#budgetTokens = Math.min(this.#budgetTokens, (size?.maximum ?? tokens * LESS) * ROOM);
    const scale = Math.min(MAX_SCALE, Math.max(1, tokens / weight));
    const largest = bytesFor((this.#budgetTokens * LARGEST_RESULT) / scale);
    let best: SentPart | undefined;
    for (const share of SHARES) {
      const capped = { ...this.#part, resultBytes: Math.min(this.#part.resultBytes, Math.floor(largest * share)) };
      const saved = weight - weigh(this.#transcript, capped, capped.from, all);
      const known = { ...capped, messages: all, tokens: Math.max(0, tokens - saved * scale) };
      const next = chooseContext(this.#transcript, known, this.#budgetTokens);
      const left = weigh(this.#transcript, next, next.from, all) / weight;
      if (left >= 1) continue;
      best = next;
      if (tokens * left <= this.#budgetTokens) break;
    }
    if (!best) return undefined;
    this.#part = best;
    return this.messages();
  }
}

/**
 * The messages from `from` on. The results of one answer's calls become one message in the order of the calls; they are stored
 * in the order of their arrival.
 */
export function toModelMessages(transcript: readonly TranscriptMessage[], part: SentPart): TranscriptMessage[] {
  const messages: TranscriptMessage[] = [];
  for (let index = part.from; index < transcript.length; index++) {
    const message = asSent(transcript, part, index);
    const last = messages.at(-1);
    if (last && holdsResultsOnly(last) && holdsResultsOnly(message)) {
      messages[messages.length - 1] = { role: 'user', content: [...last.content, ...message.content] };
    } else messages.push(message);
  }
  return messages.map((message, index) => {
    const before = messages[index - 1];
    if (!before) return part.from > 0 ? { ...message, content: [EARLIER_CUT, ...message.content] } : message;
    return message.content.length > 1 && holdsResultsOnly(message) ? inOrder(message, before) : message;
  });
}

function asSent(transcript: readonly TranscriptMessage[], part: SentPart, index: number): TranscriptMessage {
  const message = transcript[index]!;
  return index < part.trimmed ? withoutResults(message, part.resultBytes) : withShortResults(message, part.resultBytes);
}

/** Estimated tokens of the messages from `start` to before `end`, as they are sent. */
function weigh(transcript: readonly TranscriptMessage[], part: SentPart, start: number, end: number): number {
  let tokens = 0;
  for (let index = start; index < end; index++) tokens += weighMessage(asSent(transcript, part, index));
  return tokens;
}

function inOrder(results: TranscriptMessage, answer: TranscriptMessage): TranscriptMessage {
  const places = new Map(answer.content.map((block, index) => [fieldOf(block, 'id'), index]));
  const place = (block: unknown): number => places.get(fieldOf(block, 'tool_use_id')) ?? Infinity;
  return { role: 'user', content: results.content.toSorted((a, b) => place(a) - place(b)) };
}

/** The first message from `index` on that a user wrote; the transcript's length when there is none. */
function turnAtOrAfter(transcript: readonly TranscriptMessage[], index: number): number {
  if (index === 0) return 0;
  for (let at = index; at < transcript.length; at++) if (opensTurn(transcript[at]!)) return at;
  return transcript.length;
}

function holdsResult({ content }: TranscriptMessage): boolean {
  return content.some((block) => fieldOf(block, 'type') === 'tool_result');
}

function opensTurn({ role, content }: TranscriptMessage): boolean {
  return role === 'user' && content.some((block) => fieldOf(block, 'type') !== 'tool_result');
}

function holdsResultsOnly({ role, content }: TranscriptMessage): boolean {
  return role === 'user' && content.every((block) => fieldOf(block, 'type') === 'tool_result');
}

function fieldOf(block: unknown, name: string): unknown {
  return typeof block === 'object' && block !== null ? (block as Record<string, unknown>)[name] : undefined;
}
