/** Finds tools by words, and reads found tools back from a transcript. Pure; agent threads. */
import { cutText } from '../../../../src/shared/cut-text.js';
import type { TranscriptMessage } from '../../store/store.js';
import type { NamedTool } from './tool-names.js';
import { SEARCH_TOOLS } from './built-in.js';

/** Scores of a word by where it is found. */
const IN_NAME = 6;
const IN_PART_OF_NAME = 3;
const IN_SERVER = 3;
const IN_DESCRIPTION = 2;
const IN_PARAMETER = 1;
/** Limit of all found tools together: names are read back from the result, so it must not be cut. */
const MAX_RESULT_CHARS = 48_000;
/** Stop words. */
const EMPTY_WORDS = new Set(
  'a an and are as at be by can do for from i in is it me my of on or that the this to want with you'.split(' '),
);

/** Best first; equal scores keep the order of the tool set. Rare words count more. */
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

/** One JSON text block for each tool. A schema that does not fit is left out: the model gets it with the next request. */
export function foundText(found: readonly NamedTool[]): string[] {
  let left = MAX_RESULT_CHARS;
  return found.map(({ server, model: { name, description, inputSchema } }) => {
    const whole = JSON.stringify({ name, server, description, inputSchema });
    const text =
      whole.length <= left ? whole : JSON.stringify({ name, server, description: cutText(description, 200) });
    left -= text.length;
    return text;
  });
}

/** The names that searches of this session have found and those that it has called, in the transcript's order. */
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
    // We wrote it with the name first, so that the rest needs no parsing in each round.
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

/** «issue» finds «issues»: up to two more letters match. */
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
