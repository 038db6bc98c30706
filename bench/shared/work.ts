/** What benches share: an end on Ctrl-C that leaves nothing, work in parallel, time, and the configuration for containers. */
import { setMaxListeners } from 'node:events';
import { untilAborted } from '../../src/shared/abort.js';
import { parseConfig, type Config } from '../../src/shared/config.js';
import { dockerHost } from '../../test/helpers/docker.js';

/** The product's defaults, except for what the bench is about; warnings are printed. */
export function benchConfig(dataDir: string, sandbox: Record<string, unknown>): Config {
  return parseConfig(
    { sandbox: { driver: 'docker', ...sandbox } },
    { DOCKER_HOST: dockerHost(), FAIRLEAD_DATA: dataDir, LOG_LEVEL: 'warn' },
  );
}

/** Aborts at the first SIGINT or SIGTERM: the bench stops at its next step and cleans up. A second one ends it at once. */
export function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal); // each user of a crowd waits for it
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(130);
      process.exitCode = 130;
      controller.abort(new Error(`${signal}: cleaning up`));
    });
  }
  return controller.signal;
}

/** Settles as `work` does, or rejects when the bench is interrupted. */
export function orInterrupted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  work.catch(() => undefined); // work that outlives the interruption may fail
  return untilAborted(signal, () => work);
}

/** Runs `total` jobs, `atOnce` at a time; the first error is thrown when the jobs under way have ended. */
export async function inParallel(total: number, atOnce: number, job: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < total) await job(next++);
  };
  const workers = await Promise.allSettled(Array.from({ length: atOnce }, worker));
  for (const result of workers) if (result.status === 'rejected') throw result.reason;
}

/** ms that `work` took. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await work();
  return performance.now() - before;
}

/** Opens parts one after the other, and closes them in the reverse order. */
export class Parts {
  readonly #closes: (() => Promise<unknown>)[] = [];

  async open<T>(opening: Promise<T>, close: (part: T) => Promise<unknown>): Promise<T> {
    const part = await opening;
    this.#closes.push(() => close(part));
    return part;
  }

  async close(): Promise<void> {
    for (const close of this.#closes.splice(0).toReversed()) await close();
  }
}
