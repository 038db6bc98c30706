/** The configuration that counts now, as a thread other than the main one has it. Agent threads and docker thread. */
import type { Config } from './config.js';
import { liveView } from './live-view.js';

export type OnSettings = (next: Config, before: Config) => Promise<void> | void;

export class LiveSettings {
  /** Shows what counts now. Who keeps a section of it keeps an old one. */
  readonly view: Config;
  readonly #listeners: OnSettings[] = [];
  #current: Config;
  #generation = 0;

  constructor(first: Config) {
    this.#current = first;
    const keys = new Set([...(Object.keys(first) as (keyof Config)[]), 'source' as const]);
    this.view = liveView<Config>([...keys], () => this.#current);
  }

  /** For a part that keeps something of the configuration. Called in order, after `view` has changed. */
  onChange(listener: OnSettings): void {
    this.#listeners.push(listener);
  }

  /** One that is not newer than the last changes nothing. Rejects with the first error of a listener, once all have been called. */
  async set(generation: number, next: Config): Promise<void> {
    if (generation <= this.#generation) return;
    this.#generation = generation;
    const before = this.#current;
    this.#current = next;
    const results = await Promise.allSettled(this.#listeners.map(async (listener) => listener(next, before)));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }
}
