/** What benches that run containers share: their tables, their configuration, and an end on Ctrl-C that leaves nothing. */
import { setMaxListeners } from 'node:events';
import { parseConfig, type Config } from '../src/shared/config.js';
import { dockerHost } from '../test/helpers/docker.js';
import { percentile } from './machine.js';

/** As a markdown table; the first column is words, the others are figures. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((name, column) => Math.max(3, name.length, ...rows.map((row) => (row[column] ?? '').length)));
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

export function p50p99(values: readonly number[]): [string, string] {
  return [percentile(values, 50).toFixed(2), percentile(values, 99).toFixed(2)];
}

export function times(ratio: number): string {
  return `${ratio.toFixed(2)} ×`;
}

/** The defaults of the product but for what the bench is about; warnings are printed. */
export function benchConfig(dataDir: string, sandbox: Record<string, unknown>): Config {
  return parseConfig(
    { sandbox: { driver: 'docker', ...sandbox } },
    { DOCKER_HOST: dockerHost(), FAIRLEAD_DATA: dataDir, LOG_LEVEL: 'warn' },
  );
}

/** Aborts at the first SIGINT or SIGTERM: the bench stops at its next step and cleans up. A second one ends it at once. */
export function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal); // each person of a crowd waits for it
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
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** `total` jobs, `atOnce` under way; the first error ends it when those under way have ended. */
export async function inParallel(total: number, atOnce: number, job: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < total) await job(next++);
  };
  const lanes = await Promise.allSettled(Array.from({ length: atOnce }, lane));
  for (const result of lanes) if (result.status === 'rejected') throw result.reason;
}
