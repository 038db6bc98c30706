/** May people be sent here? What /readyz answers, and why not. Main thread. */

export class Readiness {
  #booted = false;
  #draining = false;
  readonly #withoutStore = new Set<number>();
  readonly #threadsDown: () => number;

  constructor(threadsDown: () => number) {
    this.#threadsDown = threadsDown;
  }

  booted(): void {
    this.#booted = true;
  }

  draining(): void {
    this.#draining = true;
  }

  /** An agent thread says whether its store answers. */
  storeHealth(thread: number, healthy: boolean): void {
    if (healthy) this.#withoutStore.delete(thread);
    else this.#withoutStore.add(thread);
  }

  read(): { ready: boolean; reasons: string[] } {
    const down = this.#threadsDown();
    const reasons = [
      ...(this.#booted ? [] : ['starting']),
      ...(this.#draining ? ['draining'] : []),
      ...(this.#withoutStore.size > 0 ? ['the store does not answer'] : []),
      ...(down > 0 ? [`${down} agent threads are down`] : []),
    ];
    return { ready: reasons.length === 0, reasons };
  }
}
