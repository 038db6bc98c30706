/** How the command line prints: colours only at a terminal, errors without a stack. Command line's process. */
import pc from 'picocolors';
import { ConfigError } from '../shared/config.js';
import { FairleadError } from '../shared/errors.js';
import { clean } from './terminal-text.js';

export type Colors = ReturnType<typeof pc.createColors>;

/** Without this, picocolors colours pipes too when `CI` is set, and files fill with escape sequences. */
export function colorsFor(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): Colors {
  return pc.createColors(stream.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb');
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The text on stderr for a thrown value. Only an error without a code of ours, a fault in this program, shows its stack. */
export function describeError(error: unknown, colors: Colors): string {
  const label = colors.red('error:');
  if (error instanceof ConfigError) {
    return [
      `${label} the configuration has problems:`,
      ...error.problems.map(({ path, message }) => `  ${colors.bold(clean(path))}: ${clean(message)}`),
    ].join('\n');
  }
  if (error instanceof FairleadError) return `${label} ${clean(error.message)}`;
  return `${label} ${clean(error instanceof Error ? (error.stack ?? error.message) : String(error))}`;
}
