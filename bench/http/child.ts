/** A forked process of this bench that answers questions one at a time and does not outlive the bench. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { stopChild, watchExit, type Exit } from '../../test/helpers/processes.js';

export class ForkedChild {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<Exit>;

  /** `name`: the entry file beside this one, without its ending. */
  constructor(name: string) {
    this.#name = name;
    this.#child = fork(fileURLToPath(new URL(`${name}.js`, import.meta.url)), {
      serialization: 'advanced', // latencies come as a typed array
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#exited = watchExit(this.#child);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Resolves with its next message; rejects when it ends instead. One at a time. */
  async ask<Told>(question?: object): Promise<Told> {
    const over = new AbortController();
    const told = once(this.#child, 'message', { signal: over.signal });
    const gone = this.#exited.then(({ code, signal }): never => {
      throw new Error(`${this.#name} ended with ${code ?? signal}`);
    });
    if (question !== undefined) this.#child.send(question);
    try {
      const [message] = (await Promise.race([told, gone])) as [Told];
      return message;
    } finally {
      over.abort();
    }
  }

  /** May be called twice. */
  async stop(): Promise<void> {
    await stopChild(this.#child, this.#exited);
  }
}
