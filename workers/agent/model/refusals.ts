/** Decides what to leave out of a request that the model's API has refused for what it holds. Pure; agent threads. */
import type { ContentBlockParam, MessageParam, ToolUnion } from '@anthropic-ai/sdk/resources/messages';
import { isObject } from './clean-blocks.js';
import type { ModelRequest } from './model.js';
import { isThinking, toRuns } from './to-messages.js';
import { saysTooLong } from './prompt-size.js';
import { entriesForAll } from './to-tools.js';
import { cutKeys, hashOf, turnKey, type Withheld } from './withheld.js';

/** The parts of a sent request that a refusal can be about. */
export interface SentParts {
  messages: MessageParam[];
  tools?: ToolUnion[];
}

/** `messages.3.content.1.image.source`, `tools.12.custom.input_schema`, and `messages[3].content[1]`, which gateways write. */
const PATH = /\b(messages|tools)((?:\.\w+|\[\d+\])+)/g;
/** `["body","messages",2,"content",0]`: the same as a list, which servers that check a schema write. */
const LIST_PATH = /["'](messages|tools)["']((?:\s*,\s*(?:\d+|["'][\w-]+["']))+)/g;
/** No definition at all is taken. */
const TAKES_NO_TOOLS =
  /\bnot support (?:tools?\b|tool[ _-](?:use|call)|functions?\b|function[ _-]call)|no endpoints found that support tool|\btools?(?:[ _-](?:use|calling))? (?:is|are) not supported/i;
/** Not about what the request holds, so leaving things out would only lose them. */
const NOT_ABOUT_CONTENT =
  /credit balance|billing|quota|usage limits?|spend(?:ing)? limit|organization|workspace|api[ -]key|authenticat|anthropic-(?:version|beta)|^model\b|model not found/i;

/** A refusal that names a part is about it, whatever words its name holds. */
export function isAboutContent(sent: SentParts, refusal: string): boolean {
  return namedParts(sent, refusal).length > 0 || !NOT_ABOUT_CONTENT.test(refusal);
}

/** The request as a whole, and no part that the refusal names. */
export function isTooLong(sent: SentParts, refusal: string): boolean {
  return saysTooLong(refusal) && namedParts(sent, refusal).length === 0;
}

/** Hashes of the named blocks and tools; empty when the refusal names none that was sent. */
export function namedParts(sent: SentParts, refusal: string): string[] {
  const paths = [...refusal.matchAll(PATH), ...refusal.matchAll(LIST_PATH)];
  const hashes = paths.flatMap(([, list, path]) => {
    const steps = path!.split(/[^\w-]+/).filter((step) => step !== '');
    const index = Number(steps[0]);
    if (!Number.isInteger(index)) return [];
    if (list === 'messages') return partsAt(sent.messages[index], steps.slice(1));
    const tool = sent.tools?.[index];
    return tool ? [hashOf(tool)] : [];
  });
  return [...new Set([...hashes, ...toolsByName(sent.tools ?? [], refusal)])];
}

/** The innermost block on the path, or all blocks of the message when it names none. */
function partsAt(message: MessageParam | undefined, steps: readonly string[]): string[] {
  if (!message || typeof message.content === 'string') return [];
  let blocks: readonly unknown[] = message.content;
  let found: unknown;
  for (const step of steps) {
    const index = Number(step);
    if (!Number.isInteger(index)) continue; // `content` and the kinds of blocks
    if (index >= blocks.length) break;
    found = blocks[index];
    const inner = isObject(found) && found['type'] === 'tool_result' ? found['content'] : undefined;
    if (!Array.isArray(inner)) break;
    blocks = inner;
  }
  if (found === undefined) return message.content.map(hashOf);
  // Thinking is taken back whole or not at all, so all of the message's goes.
  const isThought = isObject(found) && (found['type'] === 'thinking' || found['type'] === 'redacted_thinking');
  return isThought ? message.content.filter(isThinking).map(hashOf) : [hashOf(found)];
}

/** Gateways to other models name the function and not its place. */
function toolsByName(tools: readonly ToolUnion[], refusal: string): string[] {
  if (!/\b(?:tool|function)/i.test(refusal) || !/schema|parameters|definition|description/i.test(refusal)) return [];
  const quoted = new Set([...refusal.matchAll(/['"`]([a-zA-Z0-9_-]{1,64})['"`]/g)].map(([, name]) => name));
  // Without quotes an ordinary word may be a tool's name, so it counts only behind the word that announces one.
  const announced = refusal.matchAll(/\b(?:tools?|functions?)(?: named| name| called)?[ :=]+([a-zA-Z0-9_-]{1,64})/gi);
  const bare = [...announced].map(([, name]) => name!);
  const joined = [...refusal.matchAll(/[a-zA-Z0-9_-]+/g)].flatMap(([word]) => (/[_-]/.test(word) ? word : []));
  const matching = (names: ReadonlySet<string | undefined>): ToolUnion[] =>
    tools.filter((tool) => 'name' in tool && names.has(tool.name));
  const found = matching(quoted);
  return (found.length > 0 ? found : matching(new Set([...bare, ...joined]))).map(hashOf);
}

export type Step = 'images' | 'definitions' | 'older' | 'results' | 'tools' | 'rest';
const STEPS: readonly Step[] = ['images', 'definitions', 'older', 'results', 'tools', 'rest'];

/** Goes from the named part to ever more of the conversation, one step at a time, and never back. */
export class Stripping {
  readonly #request: ModelRequest;
  readonly #withheld: Withheld;
  #done = 0;

  constructor(request: ModelRequest, withheld: Withheld) {
    this.#request = request;
    this.#withheld = withheld;
  }

  /** The step that changed the request; undefined when nothing is left that could be left out. */
  next(sent: SentParts, refusal: string): 'named' | Step | undefined {
    if (isTooLong(sent, refusal)) {
      this.#done = Math.max(this.#done, STEPS.indexOf('older'));
    } else if (this.#withheld.add(namedParts(sent, refusal))) return 'named';
    else if (TAKES_NO_TOOLS.test(refusal) && this.#withheld.add(this.#entries('tools', sent))) return 'tools';
    while (this.#done < STEPS.length) {
      const step = STEPS[this.#done++]!;
      if (this.#withheld.add(this.#entries(step, sent))) return step;
    }
    return undefined;
  }

  #entries(step: Step, { messages }: SentParts): string[] {
    const { tools, messages: whole } = this.#request;
    const { open, none } = entriesForAll(tools);
    switch (step) {
      case 'images':
        return blocksOf(messages).flatMap(imagesIn).map(hashOf);
      case 'definitions':
        return [...(tools.length > 0 ? [open] : []), ...blocksOf(messages).filter(isThinking).map(hashOf)];
      case 'older': {
        const key = cutKeys(toRuns(whole)).findLast((cut) => cut !== '');
        return key === undefined ? [] : [key];
      }
      case 'results':
        return blocksOf(messages)
          .filter(({ type }) => type === 'tool_result' || type === 'tool_use')
          .map(hashOf);
      case 'tools':
        return tools.length > 0 ? [none(turnKey(toRuns(whole)))] : [];
      case 'rest': {
        // Messages without an answer between them are one for the API, and the bad one may be an earlier of them.
        const hashes = blocksOf(messages).map(hashOf);
        const newest = blocksOf(messages.filter(({ role }) => role === 'user')).findLast(isSaid);
        return newest ? hashes.filter((hash) => hash !== hashOf(newest)) : hashes;
      }
    }
  }
}

function isSaid({ type }: ContentBlockParam): boolean {
  return type !== 'tool_result';
}

function blocksOf(messages: readonly MessageParam[]): ContentBlockParam[] {
  return messages.flatMap(({ content }) => (typeof content === 'string' ? [] : content));
}

function imagesIn(block: ContentBlockParam): unknown[] {
  if (block.type === 'image') return [block];
  if (block.type !== 'tool_result' || !Array.isArray(block.content)) return [];
  return block.content.filter(({ type }) => type === 'image');
}
