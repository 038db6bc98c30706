/** One thing at a time for each server of a session; what ends the session cuts them all. Docker thread. */

interface Turn {
  /** Undefined: of all servers. */
  server: string | undefined;
  controller: AbortController;
  /** Never rejects. */
  done: Promise<unknown>;
}

export class TurnsBySession {
  readonly #turns = new Map<string, Set<Turn>>();

  /** `work` starts when those before it have ended; its controller aborts with `signal`. */
  async run<T>(
    session: string,
    server: string | undefined,
    signal: AbortSignal | undefined,
    work: (controller: AbortController) => Promise<T>,
  ): Promise<T> {
    const turns = this.#turns.get(session) ?? new Set();
    this.#turns.set(session, turns);
    const before = [...turns].filter((turn) => [turn.server, server].includes(undefined) || turn.server === server);
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(signal?.reason);
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    const running = Promise.all(before.map(({ done }) => done)).then(() => {
      controller.signal.throwIfAborted();
      return work(controller);
    });
    const turn: Turn = { server, controller, done: running.catch(() => undefined) };
    turns.add(turn);
    try {
      return await running;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      turns.delete(turn);
      if (turns.size === 0) this.#turns.delete(session);
    }
  }

  /** Aborts, with `reason`, what runs or waits for a server, and comes after it. */
  cutAll(session: string, reason: Error, work: () => Promise<void>): Promise<void> {
    for (const { server, controller } of this.#turns.get(session) ?? []) {
      if (server !== undefined) controller.abort(reason);
    }
    return this.run(session, undefined, undefined, work);
  }
}
