/** The files of sessions on their way out of sandboxes and back: a few at a time, and nobody starts beside one. Docker thread. */
import { bulkhead } from 'cockatiel';
import { counter } from '../../../src/shared/metrics.js';
import type { Archives } from './archives.js';
import type { RunningSandbox } from '../driver/driver.js';

/** Each is a tar in its container and a stream through this thread. */
const SAVES_AT_ONCE = 8;

const hibernations = counter('fairlead_sandbox_hibernations_total', 'Workspaces saved and restored', ['outcome']);

export interface Owner {
  session: string;
  server: string;
}

export interface Saved {
  /** On disk; 0 when there was nothing. */
  bytes: number;
  files: number;
}

export function ownerKey({ session, server }: Owner): string {
  return `${session} ${server}`; // neither has a space
}

export class Workspaces {
  readonly #archives: Archives;
  /** Under way, by session and server; never reject. */
  readonly #saves = new Map<string, Promise<unknown>>();
  readonly #saving = bulkhead(SAVES_AT_ONCE, Infinity);

  constructor(archives: Archives) {
    this.#archives = archives;
  }

  /** Errors as `Archives.save`: then the sandbox is as before. */
  async save(owner: Owner, sandbox: RunningSandbox): Promise<Saved> {
    const key = ownerKey(owner);
    const saving = this.#saving.execute(() => this.#archives.save(owner.session, owner.server, sandbox));
    const settled = saving
      .catch(() => undefined) // the caller is told
      .finally(() => {
        if (this.#saves.get(key) === settled) this.#saves.delete(key);
      });
    this.#saves.set(key, settled);
    const saved = await saving;
    hibernations.inc({ outcome: saved.files > 0 ? 'saved' : 'empty' });
    return saved;
  }

  /** When a save that is under way has ended, however it did. */
  async settled(owner: Owner): Promise<void> {
    await this.#saves.get(ownerKey(owner));
  }

  has({ session, server }: Owner): boolean {
    return this.#archives.has(session, server);
  }

  /** Errors as `Archives.restore`: then the sandbox holds anything. */
  async restore({ session, server }: Owner, sandbox: RunningSandbox, signal: AbortSignal): Promise<void> {
    try {
      await this.#archives.restore(session, server, sandbox, signal);
      hibernations.inc({ outcome: 'restored' });
    } catch (error) {
      hibernations.inc({ outcome: 'restore_failed' });
      throw error;
    }
  }
}
