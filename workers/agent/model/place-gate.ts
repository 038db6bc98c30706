/** A place at the model for a call that budgets must pay, too: it is given back while the call waits for money. Agent threads. */
import type { ModelPlace } from './model.js';

export class PlaceGate {
  readonly #take: () => Promise<ModelPlace | undefined>;
  #place: ModelPlace | undefined;

  /** `take` resolves with undefined where nobody waits for a place. */
  constructor(take: () => Promise<ModelPlace | undefined>) {
    this.#take = take;
  }

  get place(): ModelPlace | undefined {
    return this.#place;
  }

  /** False: there is none, and nobody waits for it. */
  async enter(): Promise<boolean> {
    this.#place = await this.#take();
    return this.#place !== undefined;
  }

  /** Idempotent. */
  leave(): void {
    this.#place?.end();
    this.#place = undefined;
  }
}
