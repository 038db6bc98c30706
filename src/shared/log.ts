/** Logs: pino, JSON lines (pretty on a terminal), the thread on each line; no prompts, tool output, arguments or secrets. Every thread. */
import { isatty } from 'node:tty';
import pino, { type Logger } from 'pino';
import pretty from 'pino-pretty';

export type { Logger } from 'pino';

/** What must never be written, should an object that holds it be logged by mistake. */
const REDACT = ['*.authorization', '*.apiKey', '*.token', '*.headers', 'authorization', 'apiKey', 'token', 'headers'];

/**
 * One logger a thread. `thread` is `main`, `agent-N`, `docker`. Lines go to stdout synchronously: they are few, and the
 * last one before a crash is the one that is needed.
 */
export function createLog(thread: string, level: string): Logger {
  const options = { level, base: { pid: process.pid, thread }, redact: REDACT };
  // Not process.stdout: in a worker that is a stream through the main thread, late and lost when the process dies.
  if (isatty(1)) {
    return pino(
      options,
      pretty({ colorize: true, ignore: 'pid', translateTime: 'HH:MM:ss', sync: true, destination: 1 }),
    );
  }
  return pino(options, pino.destination({ fd: 1, sync: true }));
}
