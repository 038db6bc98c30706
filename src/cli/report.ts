/** How the command line speaks to a person: colours only on a terminal, errors without a stack. */
import pc from 'picocolors';
import { ConfigError } from '../shared/config.js';
import { FairleadError } from '../shared/errors.js';
import { clean } from './terminal-text.js';

export type Colors = ReturnType<typeof pc.createColors>;

/** picocolors would also colour pipes when `CI` is set; a file full of escape sequences helps nobody. */
export function colorsFor(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): Colors {
  return pc.createColors(stream.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb');
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What is printed on stderr for a thrown value. Only what has no code of ours, a fault in this program, shows its stack. */
export function describeError(error: unknown, colors: Colors): string {
  const label = colors.red('error:');
  if (error instanceof ConfigError) {
    return [
      `${label} the configuration has problems:`,
      ...error.problems.map(({ path, message }) => `  ${colors.bold(clean(path))}: ${clean(message)}`),
    ].join('\n');
  }
  if (error instanceof FairleadError) return `${label} ${clean(error.message)}`;
  return `${label} ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}
