/** What Node itself has to say, as lines of the log: by itself it writes text of several lines to stderr. */
import type { Logger } from './log.js';

/** Warnings, such as of a listener too many. Every thread. */
export function logWarnings(log: Pick<Logger, 'warn'>): void {
  process.removeAllListeners('warning'); // Node's own listener, which writes text
  process.on('warning', (warning: Error & { code?: string }) => {
    const { name, message, code, stack } = warning;
    log.warn({ ...(code === undefined ? {} : { code }), err: stack }, `${name}: ${message}`);
  });
}

/** An error that nobody has caught ends the process, as it does without this. Main thread. */
export function logFatalErrors(log: Pick<Logger, 'fatal'>): void {
  process.on('uncaughtException', (error: unknown) => {
    const err = error instanceof Error ? error.stack : String(error);
    log.fatal({ err }, 'a fault in the server ends the process');
    process.exit(1);
  });
}
