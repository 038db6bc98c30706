/** The file of pinned tool definitions in the data folder. Main thread. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { FairleadError } from '../shared/errors.js';
import { pinsSchema } from '../shared/config-pins.js';
import type { Pins, ToolPins } from '../shared/tool-pins.js';

const fileSchema = z.strictObject({ version: z.literal(1), servers: pinsSchema });

export class PinFile {
  readonly #file: string;
  #pins: Pins;

  /** ERR_START for a file that cannot be read: without it a changed tool would pass as one that nobody pinned. */
  constructor(dataDir: string) {
    this.#file = join(dataDir, 'mcp-pins.json');
    this.#pins = readPins(this.#file);
  }

  get pins(): Pins {
    return this.#pins;
  }

  /** Undefined: the server is pinned no more. ERR_UNAVAILABLE when the disk does not take it; then nothing has changed. */
  set(server: string, pins: ToolPins | undefined): void {
    const { [server]: _before, ...others } = this.#pins;
    const next: Pins = pins === undefined ? others : { ...others, [server]: pins };
    const text = `${JSON.stringify({ version: 1, servers: next }, null, 2)}\n`;
    try {
      // Renamed, so that a crash leaves the old file or the new one.
      writeFileSync(`${this.#file}.new`, text, { mode: 0o600, flush: true });
      renameSync(`${this.#file}.new`, this.#file);
    } catch (error) {
      throw new FairleadError('ERR_UNAVAILABLE', `the pins cannot be written (${(error as Error).message})`, {
        cause: error,
      });
    }
    this.#pins = next;
  }
}

function readPins(file: string): Pins {
  try {
    return fileSchema.parse(JSON.parse(readFileSync(file, 'utf8'))).servers;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    const why = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new FairleadError('ERR_START', `the pinned tools in ${file} cannot be read (${why}): mend or remove it`, {
      cause: error,
    });
  }
}
