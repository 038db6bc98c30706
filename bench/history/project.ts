/** The subject of a session: files, functions and names that come up again and again. */
import type { Random } from './random.js';
import { vocabulary } from './words.js';

const { trade, tail } = vocabulary();
const VERBS = [
  'get',
  'set',
  'read',
  'write',
  'load',
  'parse',
  'open',
  'close',
  'send',
  'find',
  'make',
  'check',
  'merge',
];
const EXTENSIONS = ['ts', 'ts', 'ts', 'py', 'json', 'md', 'sql', 'yaml'];

/** Most used first. */
export class Project {
  readonly functions: readonly string[];
  readonly variables: readonly string[];
  readonly types: readonly string[];
  readonly files: readonly string[];
  readonly fields: readonly string[];
  readonly #nouns: readonly string[];

  constructor(random: Random) {
    this.#nouns = [...random.shuffled(trade).slice(0, 60), ...random.shuffled(tail).slice(0, 25)];
    const noun = (): string => random.pick(this.#nouns);
    this.functions = several(
      50,
      () => `${random.pick(VERBS)}${capital(noun())}${random.chance(0.4) ? capital(noun()) : ''}`,
    );
    this.variables = several(60, () => (random.chance(0.5) ? noun() : `${noun()}${capital(noun())}`));
    this.types = several(25, () => `${capital(noun())}${capital(noun())}`);
    this.fields = several(40, () => (random.chance(0.5) ? noun() : `${noun()}_${noun()}`));
    this.files = several(40, () => {
      const folders = Array.from({ length: random.int(1, 3) }, noun).join('/');
      return `${folders}/${noun()}-${noun()}.${random.pick(EXTENSIONS)}`;
    });
  }

  name(random: Random): string {
    return random.pickCommon(random.chance(0.5) ? this.functions : random.chance(0.5) ? this.files : this.variables);
  }

  noun(random: Random): string {
    return random.pickCommon(this.#nouns);
  }
}

/** Fewer where some are equal. */
function several(count: number, make: () => string): string[] {
  return [...new Set(Array.from({ length: count }, make))];
}

export function capital(word: string): string {
  return `${word.charAt(0).toUpperCase()}${word.slice(1)}`;
}
