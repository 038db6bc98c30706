/** Which workspaces have a save: a save that is not there at its restore is missed by it. Docker thread. */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../../src/shared/log.js';
import type { Owner } from './workspaces.js';

/** One empty file for each save, apart from the saves: who removes or loses those does not lose this. The folder is the index. */
export class SavedIndex {
  readonly #folder: string;
  readonly #log: Logger;

  constructor(folder: string, log: Logger) {
    this.#folder = folder;
    this.#log = log;
  }

  has(owner: Owner): boolean {
    return existsSync(this.#pathOf(owner));
  }

  /** Not worth an error: without it a missing save is only not noticed. */
  note(owner: Owner): void {
    this.#try(() => {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      writeFileSync(this.#pathOf(owner), '', { mode: 0o600 });
    });
  }

  /** Idempotent. */
  remove(owner: Owner): void {
    this.#try(() => rmSync(this.#pathOf(owner), { force: true }));
  }

  /** The session has ended. Idempotent. */
  forget(session: string): void {
    for (const name of this.#names()) {
      if (sessionOf(name) === session) this.#try(() => rmSync(join(this.#folder, name), { force: true }));
    }
  }

  sessions(): string[] {
    return [...new Set(this.#names().map(sessionOf))];
  }

  #names(): string[] {
    return existsSync(this.#folder) ? readdirSync(this.#folder) : [];
  }

  #try(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#log.warn({ err: error }, 'the index of saved workspaces cannot be written');
    }
  }

  /** Neither name contains a ~. */
  #pathOf({ session, server }: Owner): string {
    return join(this.#folder, `${session}~${server}`);
  }
}

function sessionOf(name: string): string {
  return name.split('~')[0] ?? '';
}
