/** The moment after a start in which not every server has been heard of: the first turns wait for it. Agent threads. */
export class FirstListing {
  /** Each has said what it has, or could not be asked, or the wait for that is over. Never rejects. */
  readonly over: Promise<void>;
  readonly #servers: readonly string[];
  #end: () => void = () => undefined;
  #isOver = false;

  constructor(servers: readonly string[], waitMs: number) {
    this.#servers = servers;
    this.over = new Promise((resolve) => {
      const timer = setTimeout(() => this.#end(), waitMs).unref(); // nothing else may be left to do
      this.#end = () => {
        clearTimeout(timer);
        this.#isOver = true;
        resolve();
      };
    });
    this.note(() => false);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  note(isHeardOf: (server: string) => boolean): void {
    if (this.#servers.every(isHeardOf)) this.#end();
  }
}
