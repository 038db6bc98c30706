/**
 * Parts of a conversation that the model's API has refused: words stand in their place in what is sent. The history keeps them. A
 * part is known by its hash, since its place changes when the context moves. Pure; agent threads.
 */
import type { ContentBlockParam, ImageBlockParam, TextBlockParam } from '@anthropic-ai/sdk/resources/messages';
import { createHash } from 'node:crypto';
import type { TranscriptMessage } from '../store/store.js';

/** The list is stored with the session; beyond it the oldest go, and cost one more refusal if they are still there. */
const MAX_ENTRIES = 500;
const HASH_CHARS = 12;
/** Of longer strings the ends are hashed: the list is compared with every block of a request, and images have megabytes. */
const HASHED_CHARS = 4_096;

const WORDS = {
  tool_use: 'The model’s API refused these arguments, so they are left out.',
  text: 'A text stood here. The model’s API refused it, so it is left out.',
  image: 'An image stood here. The model’s API refused it, so it is left out.',
  tool_result: 'The result of this call stood here. The model’s API refused it, so it is left out.',
};
const CUT: TextBlockParam = {
  type: 'text',
  text: '[Earlier messages of this conversation were left out, because the model’s API refused the request with them.]',
};

/** Consecutive messages of one role, as one message. */
export interface RoleMessage {
  role: TranscriptMessage['role'];
  content: ContentBlockParam[];
}

export class Withheld {
  readonly #entries: Set<string>;
  #changed = false;

  constructor(entries: readonly string[] = []) {
    this.#entries = new Set(entries);
  }

  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  /** True when something was added since. */
  get changed(): boolean {
    return this.#changed;
  }

  list(): string[] {
    return [...this.#entries].slice(-MAX_ENTRIES);
  }

  /** False when all of them were known, so that asking again would change nothing. */
  add(entries: readonly string[]): boolean {
    const before = this.#entries.size;
    for (const entry of entries) this.#entries.add(entry);
    const grew = this.#entries.size > before;
    this.#changed ||= grew;
    return grew;
  }

  has(entry: string): boolean {
    return this.#entries.has(entry);
  }

  hasPrefix(prefix: string): boolean {
    return [...this.#entries].some((entry) => entry.startsWith(prefix));
  }

  /** Cuts the conversation where it was cut before, and puts words in place of what was refused. Changes the copies. */
  apply(runs: RoleMessage[]): RoleMessage[] {
    if (this.isEmpty) return runs;
    const keys = cutKeys(runs);
    const start = keys.findLastIndex((key) => key !== '' && this.#entries.has(key));
    const kept = start > 0 ? opened(runs.slice(start)) : runs;
    for (const run of kept) run.content = this.cover(run.content);
    return kept;
  }

  /** Puts words in place of the refused of these blocks. */
  cover(blocks: readonly ContentBlockParam[]): ContentBlockParam[] {
    return this.isEmpty ? [...blocks] : blocks.flatMap((block) => this.#block(block));
  }

  #block(block: ContentBlockParam): ContentBlockParam[] {
    const isRefused = this.#entries.has(hashOf(block));
    switch (block.type) {
      case 'text':
      case 'image':
        return [isRefused ? marked(worded(block.type), block) : block];
      case 'thinking':
      case 'redacted_thinking':
        return isRefused ? [] : [block];
      case 'tool_use':
        return [isRefused ? { ...block, input: { note: WORDS.tool_use } } : block];
      case 'tool_result': {
        if (isRefused) return [{ ...block, content: [worded('tool_result')] }];
        const parts = Array.isArray(block.content) ? block.content : [];
        const content = parts.map((part) =>
          (part.type === 'text' || part.type === 'image') && this.#entries.has(hashOf(part)) ? worded(part.type) : part,
        );
        return [{ ...block, content }];
      }
      default:
        return [block];
    }
  }
}

/** By message, the entry that lets the conversation begin there; '' where no turn begins. Of the whole conversation, before any cut. */
export function cutKeys(runs: readonly RoleMessage[]): string[] {
  return runs.map(({ role, content }, index) => {
    const before = runs[index - 1];
    const said = content.find((block) => block.type !== 'tool_result');
    return role === 'user' && before && said ? `cut:${hashOf([before.content.map(hashOf), hashOf(said)])}` : '';
  });
}

/** Names the newest turn: by what was said last, and by the answer before it. */
export function turnKey(runs: readonly RoleMessage[]): string {
  const index = runs.findLastIndex(({ role, content }) => role === 'user' && content.some(isSaid));
  const said = runs[index]?.content.findLast(isSaid);
  return hashOf([runs[index - 1]?.content.map(hashOf) ?? [], said ? hashOf(said) : '']);
}

function isSaid({ type }: ContentBlockParam): boolean {
  return type !== 'tool_result';
}

/** The cache's marker does not count: it moves. */
export function hashOf(part: unknown): string {
  const json = JSON.stringify(part, (key, value: unknown) => {
    if (key === 'cache_control') return undefined;
    return typeof value === 'string' && value.length > HASHED_CHARS ? ends(value) : value;
  });
  return createHash('sha256').update(json).digest('base64url').slice(0, HASH_CHARS);
}

function ends(text: string): unknown {
  return [text.length, text.slice(0, HASHED_CHARS / 2), text.slice(-HASHED_CHARS / 2)];
}

/** Results whose calls were cut go too. */
function opened([first, ...rest]: RoleMessage[]): RoleMessage[] {
  if (!first) return [];
  return [{ role: 'user', content: [CUT, ...first.content.filter(({ type }) => type !== 'tool_result')] }, ...rest];
}

function marked(words: TextBlockParam, { cache_control: marker }: TextBlockParam | ImageBlockParam): TextBlockParam {
  return marker ? { ...words, cache_control: marker } : words;
}

function worded(type: Exclude<keyof typeof WORDS, 'tool_use'>): TextBlockParam {
  return { type: 'text', text: `[${WORDS[type]}]` };
}
