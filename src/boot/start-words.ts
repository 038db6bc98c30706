/** What a start or a check of the configuration has to say before there is a log: sentences at a terminal, else a line of JSON each. Main thread. */
import { isatty } from 'node:tty';
import { ConfigError } from '../shared/config.js';
import { isFairleadError } from '../shared/errors.js';
import { createLog } from '../shared/log.js';

const STDOUT = 1;
const STDERR = 2;

/** A line for each problem: what reads logs finds its path. False at a terminal, where the command line prints the error. */
export function logStartError(error: unknown): boolean {
  if (isatty(STDERR)) return false;
  const log = createLog('main', 'info', { fd: STDERR });
  if (error instanceof ConfigError) {
    for (const { path, message } of error.problems) {
      log.error({ code: error.code, path }, `the configuration has a problem: ${path}: ${message}`);
    }
  } else if (isFairleadError(error)) {
    log.error({ code: error.code }, `the server does not start: ${error.message}`);
  } else {
    const err = error instanceof Error ? error.stack : String(error);
    log.fatal({ err }, 'the server does not start: a fault in it');
  }
  return true;
}

/** The answer of `--check-config`. */
export function sayChecked(warnings: readonly string[]): void {
  if (isatty(STDERR)) for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
  else {
    const log = createLog('main', 'info', { fd: STDERR });
    for (const warning of warnings) log.warn(warning);
  }
  const valid = 'the configuration is valid';
  if (isatty(STDOUT)) process.stdout.write(`${valid}\n`);
  else createLog('main', 'info').info(valid);
}
