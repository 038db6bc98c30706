/** What an MCP server logs, in our log: bounded, since nobody vouches for it. Agent threads. */
import type { LoggingMessageNotification } from '@modelcontextprotocol/client';
import type { Logger } from '../../../../src/shared/log.js';
import { LogRate } from './log-rate.js';

const MAX_TEXT = 2_000;
const MAX_LINES_PER_SECOND = 20;

export class ServerLog {
  readonly #server: string;
  readonly #log: Logger;
  readonly #rate: LogRate;

  constructor(server: string, log: Logger) {
    this.#server = server;
    this.#log = log;
    this.#rate = new LogRate(MAX_LINES_PER_SECOND, (lines) => {
      log.info({ server, lines }, 'mcp server log: lines left out');
    });
  }

  write({ level, logger, data }: LoggingMessageNotification['params']): void {
    if (!this.#rate.take()) return;
    const text = (typeof data === 'string' ? data : (JSON.stringify(data) ?? '')).slice(0, MAX_TEXT);
    const serious = level === 'error' || level === 'critical' || level === 'alert' || level === 'emergency';
    const at = serious ? 'warn' : level === 'debug' ? 'debug' : 'info';
    this.#log[at](
      { server: this.#server, level, ...(logger ? { logger: logger.slice(0, 100) } : {}), text },
      'mcp server log',
    );
  }
}
