/** The users of the soak: a fixed number at a time, one life after another, until the crowd closes. */
import { Random } from '../history/random.js';
import { Person, type PersonOptions } from './person.js';

/** More failures are not an accident of one session. */
const MOST_FAILURES = 20;

export interface CrowdOptions extends Omit<PersonOptions, 'random' | 'onTurn'> {
  people: number;
  seed: number;
}

export class Crowd {
  /** Sessions that have lived from their first socket to their deletion. */
  lives = 0;
  readonly turns = { text: 0, tool: 0 };
  readonly failures: string[] = [];
  readonly #options: CrowdOptions;
  readonly #random: Random;
  readonly #present = new Set<Person>();
  #lanes: Promise<void>[] = [];
  #open = false;
  #abandoned = false;

  constructor(options: CrowdOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
  }

  open(): void {
    this.#open = true;
    this.#lanes = Array.from({ length: this.#options.people }, () => this.#lane(this.#random.branch()));
  }

  /** Nobody new comes; resolves when all lives have ended. */
  async close(): Promise<void> {
    this.#open = false;
    await Promise.all(this.#lanes);
    if (this.failures.length > MOST_FAILURES) {
      throw new Error(`${this.failures.length} sessions failed, the first: ${this.failures[0]}`);
    }
  }

  /** All leave at once. */
  async abandon(): Promise<void> {
    this.#open = false;
    this.#abandoned = true;
    for (const person of this.#present) person.leave();
    await Promise.all(this.#lanes);
  }

  async #lane(random: Random): Promise<void> {
    const { signal } = this.#options;
    while (this.#open && !signal.aborted && this.failures.length <= MOST_FAILURES) {
      const person = new Person({ ...this.#options, random: random.branch(), onTurn: (kind) => this.turns[kind]++ });
      this.#present.add(person);
      try {
        await person.live();
        this.lives += 1;
      } catch (error) {
        if (!signal.aborted && !this.#abandoned) this.failures.push((error as Error).message);
      } finally {
        this.#present.delete(person);
      }
    }
  }
}
