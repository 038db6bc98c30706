/** What servers print to stderr, in our log at debug level: bounded. Agent threads. */
import type { Logger } from '../../../../src/shared/log.js';
import { maskOf } from '../../../../src/shared/stderr-tail.js';
import { LogRate } from '../host/log-rate.js';

const MAX_TEXT = 2_000;
const MAX_CHUNKS_PER_SECOND = 20;

export class StderrLog {
  readonly #server: string;
  readonly #log: Logger;
  readonly #mask: (text: string) => string;
  readonly #rate: LogRate;

  /** `env`: of its configuration, whose values are secrets. */
  constructor(server: string, log: Logger, env: Readonly<Record<string, string>>) {
    this.#server = server;
    this.#log = log;
    this.#mask = maskOf(env);
    this.#rate = new LogRate(MAX_CHUNKS_PER_SECOND, (bytes) =>
      log.debug({ server, bytes }, 'mcp server stderr: left out'),
    );
  }

  write(chunk: Buffer | string): void {
    if (!this.#log.isLevelEnabled('debug') || !this.#rate.take(chunk.length)) return;
    const text = this.#mask(chunk.slice(0, MAX_TEXT).toString());
    this.#log.debug({ server: this.#server, bytes: chunk.length, text }, 'mcp server stderr');
  }
}
