/**
 * Says in the data folder what has become of a reload that a signal has asked for, since a signal has no answer: `fairlead reload --pid`
 * waits for it. Main thread.
 */
import { join } from 'node:path';
import { ConfigError } from '../shared/config.js';
import { errorToData } from '../shared/errors.js';
import type { Logger } from '../shared/log.js';
import { makePrivateFile } from '../shared/private-file.js';
import type { ReloadReport } from './live-config.js';

export interface ReloadNoteText {
  pid: number;
  /** How many signals have come. */
  asked: number;
  /** Of those, how many were answered: the last of them by what follows. */
  done: number;
  report?: ReloadReport;
  error?: string;
  problems?: readonly { path: string; message: string }[];
}

export function reloadNoteFile(dataDir: string): string {
  return join(dataDir, 'reload.json');
}

export class ReloadNote {
  readonly #file: string;
  readonly #log: Logger;
  #asked = 0;
  #done = 0;

  constructor(dataDir: string, log: Logger) {
    this.#file = reloadNoteFile(dataDir);
    this.#log = log;
  }

  /** A signal has come. */
  begin(): { end(with_: { report: ReloadReport } | { error: unknown }): void } {
    const number = ++this.#asked;
    this.#write({});
    return {
      end: (with_) => {
        this.#done = Math.max(this.#done, number);
        this.#write('report' in with_ ? with_ : told(with_.error));
      },
    };
  }

  #write(text: Omit<ReloadNoteText, 'pid' | 'asked' | 'done'>): void {
    const note: ReloadNoteText = { pid: process.pid, asked: this.#asked, done: this.#done, ...text };
    try {
      makePrivateFile({ file: this.#file }, JSON.stringify(note));
    } catch (error) {
      this.#log.warn({ err: (error as Error).message }, 'what became of a reload cannot be written down');
    }
  }
}

function told(error: unknown): Pick<ReloadNoteText, 'error' | 'problems'> {
  return {
    error: errorToData(error).message,
    ...(error instanceof ConfigError && { problems: error.problems }),
  };
}
