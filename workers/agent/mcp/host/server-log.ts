/** What an MCP server logs, in our log: bounded, since it is nobody's word but its own. Agent threads. */
import type { LoggingMessageNotification } from '@modelcontextprotocol/client';
import type { Logger } from '../../../../src/shared/log.js';

const MAX_TEXT = 2_000;
/** Lines of one server in a second; what is beyond is counted. */
const MAX_PER_SECOND = 20;

type LogMessage = LoggingMessageNotification['params'];

export class ServerLog {
  readonly #server: string;
  readonly #log: Logger;
  #second = 0;
  #lines = 0;
  #left = 0;

  constructor(server: string, log: Logger) {
    this.#server = server;
    this.#log = log;
  }

  write({ level, logger, data }: LogMessage): void {
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.#second) {
      if (this.#left > 0) this.#log.info({ server: this.#server, lines: this.#left }, 'mcp server log: lines left out');
      this.#second = second;
      this.#lines = 0;
      this.#left = 0;
    }
    if (++this.#lines > MAX_PER_SECOND) {
      this.#left++;
      return;
    }
    const text = (typeof data === 'string' ? data : (JSON.stringify(data) ?? '')).slice(0, MAX_TEXT);
    const serious = level === 'error' || level === 'critical' || level === 'alert' || level === 'emergency';
    const at = serious ? 'warn' : level === 'debug' ? 'debug' : 'info';
    this.#log[at](
      { server: this.#server, level, ...(logger ? { logger: logger.slice(0, 100) } : {}), text },
      'mcp server log',
    );
  }
}
