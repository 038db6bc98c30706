/** Says to the person what a request went without, after the model's API had refused it. Pure; agent threads. */
import type { SentParts, Step } from './refusals.js';
import { hashOf, type Withheld } from './withheld.js';

/** A list of hundreds of names helps nobody. */
const MAX_NAMES = 10;

const WORDS: Record<Step, string> = {
  images: 'the images of this conversation',
  definitions: 'how its tools are described, and earlier thinking',
  older: 'earlier messages of this conversation',
  results: 'calls of tools and their results',
  tools: 'all tools, for this turn',
  rest: 'all but the newest message',
};

export class LeftOut {
  /** By name, how often its definition was refused: the first time it loses its schema, then it goes. */
  readonly #tools = new Map<string, number>();
  readonly #steps = new Set<Step>();
  #named = false;

  /** `sent`: the request that was refused. */
  add(step: Step | 'named', { tools = [] }: SentParts, withheld: Withheld): void {
    if (step !== 'named') {
      this.#steps.add(step);
      return;
    }
    const refused = tools.filter((tool) => withheld.has(hashOf(tool)));
    for (const tool of refused) {
      if ('name' in tool) this.#tools.set(tool.name, (this.#tools.get(tool.name) ?? 0) + 1);
    }
    // The refusal named something, and it was none of the tools.
    if (refused.length === 0) this.#named = true;
  }

  toString(): string {
    const parts = [
      ...this.#toolsRefused(1, 'the schema of'),
      ...this.#toolsRefused(2, 'the tool'),
      ...(this.#named ? ['a part of a message'] : []),
      ...[...this.#steps].map((step) => WORDS[step]),
    ];
    return `The model’s API refused the request, and it was asked again without: ${parts.join('; ')}.`;
  }

  #toolsRefused(times: number, what: string): string[] {
    const names = [...this.#tools].flatMap(([name, count]) => (Math.min(count, 2) === times ? [name] : []));
    if (names.length === 0) return [];
    const more = names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : '';
    return [`${what} ${names.slice(0, MAX_NAMES).join(', ')}${more}`];
  }
}
