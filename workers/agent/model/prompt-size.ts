/** Reads from a refusal that a request was too long, and by how much. Pure; agent threads. */
import type { PromptSize } from './model.js';

const TOO_LONG =
  /too long|too large|exceeds? the (?:maximum size|available context)|context (?:window|length|limit|size)|maximum context|input length|(?:token count|tokens?) exceeds?|too many (?:input )?tokens|maximum number of tokens/i;

/** The Messages API, twice; OpenAI's and its many copies; llama.cpp; Gemini. Each with the groups `tokens` and `maximum`. */
const SIZES = [
  /(?<tokens>\d+) tokens? > (?<maximum>\d+)/i,
  /(?<tokens>\d+) \+ (?<answer>\d+) > (?<maximum>\d+)/,
  /context (?:length|window|size|limit)(?: is| of|:)? (?<maximum>\d+).*?(?:result(?:ed|s) in|requested|has|contains?|got) (?:about )?(?<tokens>\d+)/is,
  /(?<tokens>\d+) tokens?\)? exceeds? the (?:available|maximum|model).*?context (?:size|length|window)[^\d]*(?<maximum>\d+)/is,
  /token count \(?(?<tokens>\d+)\)? exceeds the maximum[^\d]*(?<maximum>\d+)/is,
  /context (?:length|window|size|limit)[^\d]*(?<maximum>\d+)/is,
];
/** No model takes less; a smaller number means something else. */
const LEAST = 256;

export function saysTooLong(refusal: string): boolean {
  return TOO_LONG.test(refusal);
}

/** Undefined when the refusal has no sizes. */
export function readPromptSize(refusal: string): PromptSize | undefined {
  const text = refusal.replaceAll(/(?<=\d)[,_](?=\d{3})/g, '');
  for (const pattern of SIZES) {
    const found = pattern.exec(text)?.groups;
    if (!found) continue;
    const maximum = Number(found['maximum']) - Number(found['answer'] ?? 0);
    if (maximum < LEAST) continue;
    const tokens = Number(found['tokens']);
    return tokens > maximum ? { tokens, maximum } : { maximum };
  }
  return undefined;
}
