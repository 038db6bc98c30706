/** The inputs that new ones are made from: it keeps those that reached new code. */
import { pick } from '../chaos/random.js';
import { mutate } from './mutate.js';

const MAX_INPUTS = 2_000;

export class Corpus {
  readonly #inputs: string[];
  readonly #draw: () => number;

  constructor(seeds: readonly string[], draw: () => number) {
    this.#inputs = [...seeds];
    this.#draw = draw;
  }

  get size(): number {
    return this.#inputs.length;
  }

  next(): string {
    return mutate(this.#any(), this.#any(), this.#draw);
  }

  /** A full corpus forgets a random one of its inputs. */
  keep(inputs: readonly string[]): void {
    for (const input of inputs) {
      if (this.#inputs.length < MAX_INPUTS) this.#inputs.push(input);
      else this.#inputs[Math.floor(this.#draw() * MAX_INPUTS)] = input;
    }
  }

  #any(): string {
    return pick(this.#inputs, this.#draw()) ?? '';
  }
}
