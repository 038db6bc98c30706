/** Runs one job at a time per session and server; the end of a session cancels them all. Docker thread. */
import { onAbort } from '../../../src/shared/abort.js';

interface Job {
  /** Undefined: for all servers of the session. */
  server: string | undefined;
  controller: AbortController;
  /** Never rejects. */
  done: Promise<unknown>;
}

export class SessionQueue {
  readonly #jobs = new Map<string, Set<Job>>();

  /** Starts `work` when the jobs before it have ended. Its controller aborts with `signal`. */
  async run<T>(
    session: string,
    server: string | undefined,
    signal: AbortSignal | undefined,
    work: (controller: AbortController) => Promise<T>,
  ): Promise<T> {
    const jobs = this.#jobs.get(session) ?? new Set();
    this.#jobs.set(session, jobs);
    const before = [...jobs].filter((job) => [job.server, server].includes(undefined) || job.server === server);
    const controller = new AbortController();
    const stop = onAbort(signal, () => controller.abort(signal?.reason));
    const running = Promise.all(before.map(({ done }) => done)).then(() => {
      controller.signal.throwIfAborted();
      return work(controller);
    });
    const job: Job = { server, controller, done: running.catch(() => undefined) };
    jobs.add(job);
    try {
      return await running;
    } finally {
      stop();
      jobs.delete(job);
      if (jobs.size === 0) this.#jobs.delete(session);
    }
  }

  /** Aborts the session's jobs with `reason`, and runs `work` after them. */
  cancelAll(session: string, reason: Error, work: () => Promise<void>): Promise<void> {
    for (const { server, controller } of this.#jobs.get(session) ?? []) {
      if (server !== undefined) controller.abort(reason);
    }
    return this.run(session, undefined, undefined, work);
  }
}
