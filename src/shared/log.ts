/**
 * The logger: JSON lines (pretty on a terminal) with the thread's name; never prompts, tool output, arguments or secrets. Every
 * thread.
 */
import { isatty } from 'node:tty';
import pino, { type Logger } from 'pino';
import pretty from 'pino-pretty';
import { escapeControlsInJson, escapeRawControls } from './control-characters.js';
import { isJournal, withPriority } from './journal.js';

export type { Logger } from 'pino';

/** Fields that are never written, in case an object with them is logged by mistake. */
const REDACT = ['*.authorization', '*.apiKey', '*.token', '*.headers', 'authorization', 'apiKey', 'token', 'headers'];

/**
 * Makes the logger of a thread; `thread` is `main`, `agent-N` or `docker`. Lines are written synchronously: they are few, and
 * the last one before a crash is the one that is needed. `fd`: 1, or 2 for what a command has to say beside its answer.
 */
export function createLog(thread: string, level: string, { fd = 1 }: { fd?: 1 | 2 } = {}): Logger {
  const log = newLog(thread, level, fd);
  keep(log);
  return log;
}

/** Of all loggers of this thread. */
export function setLogLevel(level: string): void {
  for (const log of loggers) log.level = level;
}

/** A child has a level of its own. Only parts that live as long as their thread have one, so they are few. */
const loggers = new Set<Logger>();

function keep(log: Logger): void {
  loggers.add(log);
}

function newLog(thread: string, level: string, fd: 1 | 2): Logger {
  const options = { level, base: { pid: process.pid, thread }, redact: REDACT, onChild: keep };
  // Errors quote foreign text: what an image prints, what a daemon answers. A terminal must not obey it, now or when the log is read.
  // Not process.stdout: in a worker it goes through the main thread, so lines come late and are lost when the process dies.
  if (isatty(fd)) {
    return pino(
      { ...options, hooks: { streamWrite: escapeControlsInJson } },
      pretty({ colorize: true, ignore: 'pid', translateTime: 'HH:MM:ss', sync: true, destination: fd }),
    );
  }
  const streamWrite = isJournal(fd) ? (line: string) => withPriority(escapeRawControls(line)) : escapeRawControls;
  return pino({ ...options, hooks: { streamWrite } }, pino.destination({ fd, sync: true }));
}
