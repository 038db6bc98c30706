/** Finds tools by words, and reads back from a transcript what was found in it. Pure; agent threads. */
import type { TranscriptMessage } from '../../store/store.js';
import type { NamedTool } from './tool-names.js';
import { SEARCH_TOOLS } from './built-in.js';

/** What a word is worth where it is found. */
const IN_NAME = 6;
const IN_PART_OF_NAME = 3;
const IN_SERVER = 3;
const IN_DESCRIPTION = 2;
const IN_PARAMETER = 1;
/** Of all found tools together: the result must not be cut, as names are read back from it. */
const MAX_RESULT_CHARS = 48_000;
/** Words that tell no tool from another. */
const EMPTY_WORDS = new Set(
  'a an and are as at be by can do for from i in is it me my of on or that the this to want with you'.split(' '),
);

/** Best first; the order of the tool set where two are alike. Rare words count for more. */
export function findTools(tools: readonly NamedTool[], query: string, limit: number): NamedTool[] {
  const words = [...new Set(splitWords(query))].filter((word) => !EMPTY_WORDS.has(word)).slice(0, 30);
  const texts = tools.map((tool) => ({ tool, ...searchable(tool) }));
  const scores = texts.map(() => 0);
  for (const word of words) {
    const worth = texts.map((text) => worthOf(word, text));
    const hits = worth.filter((points) => points > 0).length;
    if (hits === 0) continue;
    const rarity = 1 + Math.log(tools.length / hits);
    for (const [index, points] of worth.entries()) scores[index]! += points * rarity;
  }
  return texts
    .map(({ tool }, index) => ({ tool, score: scores[index]! }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score)
    .slice(0, limit)
    .map(({ tool }) => tool);
}

/** One text block a tool, as JSON; a schema that finds no room is left out, the model is sent it in the next request. */
export function foundText(found: readonly NamedTool[]): string[] {
  let left = MAX_RESULT_CHARS;
  return found.map(({ server, model: { name, description, inputSchema } }) => {
    const whole = JSON.stringify({ name, server, description, inputSchema });
    const text =
      whole.length <= left ? whole : JSON.stringify({ name, server, description: description.slice(0, 200) });
    left -= text.length;
    return text;
  });
}

/** Names that a session's search has found, and those that it has called: in the order of the transcript. */
export function foundIn(transcript: readonly TranscriptMessage[]): string[] {
  const names = new Set<string>();
  const searches = new Set<string>();
  for (const { content } of transcript) {
    for (const block of content as Record<string, unknown>[]) {
      if (block['type'] === 'tool_use') {
        if (block['name'] === SEARCH_TOOLS) searches.add(String(block['id']));
        else names.add(String(block['name']));
      } else if (block['type'] === 'tool_result' && searches.has(String(block['tool_use_id']))) {
        for (const name of namesInResult(block['content'])) names.add(name);
      }
    }
  }
  return [...names];
}

function namesInResult(content: unknown): string[] {
  if (!Array.isArray(content)) return [];
  return (content as { text?: unknown }[]).flatMap(({ text }) => {
    // Always ours, and always with the name first: the rest need not be parsed at each round.
    const match = typeof text === 'string' ? /^\{"name":"([\w-]{1,64})"/.exec(text) : null;
    return match ? [match[1]!] : [];
  });
}

interface ToolText {
  name: string[];
  wholeName: string;
  server: string[];
  description: string[];
  parameters: string[];
}

function searchable({ server, definition }: NamedTool): ToolText {
  const properties = definition.inputSchema['properties'] ?? {};
  return {
    name: [...splitWords(definition.name), ...splitWords(definition.title ?? '')],
    wholeName: definition.name.toLowerCase(),
    server: splitWords(server),
    description: splitWords(definition.description.slice(0, 2_000)),
    parameters: Object.keys(properties).slice(0, 50).flatMap(splitWords),
  };
}

function worthOf(word: string, text: ToolText): number {
  const named = text.name.includes(word) ? IN_NAME : text.wholeName.includes(word) ? IN_PART_OF_NAME : 0;
  const server = text.server.includes(word) ? IN_SERVER : 0;
  const described = text.description.some((other) => sameWord(word, other)) ? IN_DESCRIPTION : 0;
  return named + server + described + (text.parameters.includes(word) ? IN_PARAMETER : 0);
}

/** «issue» finds «issues», as far as two letters go. */
function sameWord(word: string, other: string): boolean {
  return word === other || (word.length > 3 && other.startsWith(word) && other.length - word.length <= 2);
}

function splitWords(text: string): string[] {
  return text
    .replaceAll(/([\p{Ll}\p{N}])(\p{Lu})/gu, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');
}
