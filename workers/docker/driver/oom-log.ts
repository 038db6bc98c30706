/** Logs that a sandbox is out of memory, at a bounded rate: a program in it decides how often that happens. Docker thread. */
import type { Logger } from '../../../src/shared/log.js';

const EVERY_MS = 60_000;

export class OomLog {
  readonly #log: Pick<Logger, 'warn'>;
  /** By container: when it was logged, and how often it has happened since. */
  readonly #told = new Map<string, { at: number; times: number }>();

  constructor(log: Pick<Logger, 'warn'>) {
    this.#log = log;
  }

  /** `shown` ends with the session's id, `name` stays the same for a container's whole life. */
  note(name: string, shown: string, now = performance.now()): void {
    const told = this.#told.get(name);
    if (told && now - told.at < EVERY_MS) {
      told.times++;
      return;
    }
    this.#told.set(name, { at: now, times: 0 });
    const times = (told?.times ?? 0) + 1;
    this.#log.warn(
      { container: shown, ...(times > 1 && { times }) },
      'a sandbox is out of memory: the kernel has killed a program in it',
    );
  }

  /** The container is gone. */
  forget(name: string): void {
    this.#told.delete(name);
  }
}
