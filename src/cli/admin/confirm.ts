/** Asks at the terminal before something is lost. Command line's process. */
import { createInterface } from 'node:readline/promises';
import { FairleadError } from '../../shared/errors.js';
import { clean } from '../terminal-text.js';

export interface Terminal {
  input: NodeJS.ReadableStream & { isTTY?: boolean };
  output: NodeJS.WritableStream & { isTTY?: boolean };
}

/** ERR_CONFIG off a terminal without `yes`; ERR_CANCELLED for anything but a yes. Asks on stderr, so that stdout stays a result. */
export async function confirm(
  question: string,
  yes: boolean,
  terminal: Terminal = { input: process.stdin, output: process.stderr },
) {
  if (yes) return;
  const { input, output } = terminal;
  if (!input.isTTY || !output.isTTY) {
    throw new FairleadError('ERR_CONFIG', `${clean(question)} There is no terminal to ask at: add --yes`);
  }
  const lines = createInterface({ input, output });
  try {
    // The end of the input is no yes: `question` alone would wait for ever.
    const ended = new Promise<string>((resolve) => lines.once('close', () => resolve('')));
    const answer = await Promise.race([lines.question(`${clean(question)} [y/N] `), ended]);
    if (!/^y(es)?$/i.test(answer.trim())) throw new FairleadError('ERR_CANCELLED', 'nothing was changed');
  } finally {
    lines.close();
  }
}
