/** The logger: JSON lines (pretty on a terminal) with the thread's name; never prompts, tool output, arguments or secrets. Every thread. */
import { isatty } from 'node:tty';
import pino, { type Logger } from 'pino';
import pretty from 'pino-pretty';
import { escapeControlsInJson, escapeRawControls } from './control-characters.js';

export type { Logger } from 'pino';

/** Fields that are never written, in case an object with them is logged by mistake. */
const REDACT = ['*.authorization', '*.apiKey', '*.token', '*.headers', 'authorization', 'apiKey', 'token', 'headers'];

/**
 * Makes the logger of a thread; `thread` is `main`, `agent-N` or `docker`. Lines are written synchronously: they are few, and
 * the last one before a crash is the one that is needed.
 */
export function createLog(thread: string, level: string): Logger {
  const options = { level, base: { pid: process.pid, thread }, redact: REDACT };
  const terminal = isatty(1);
  // Errors quote foreign text: what an image prints, what a daemon answers. A terminal must not obey it, now or when the log is read.
  const hooks = { streamWrite: terminal ? escapeControlsInJson : escapeRawControls };
  // Not process.stdout: in a worker it goes through the main thread, so lines come late and are lost when the process dies.
  if (terminal) {
    return pino(
      { ...options, hooks },
      pretty({ colorize: true, ignore: 'pid', translateTime: 'HH:MM:ss', sync: true, destination: 1 }),
    );
  }
  return pino({ ...options, hooks }, pino.destination({ fd: 1, sync: true }));
}
