/** Saves and restores workspaces: a few saves at a time, counted, and known to who leases next. Docker thread. */
import { bulkhead } from 'cockatiel';
import { counter } from '../../../src/shared/metrics.js';
import type { SavedWorkspace } from '../contract/messages.js';
import type { Archives, Saved } from './archives.js';
import type { SavedIndex } from './saved-index.js';
import type { RunningSandbox } from '../driver/driver.js';

/** Each runs a tar in its container and streams it through this thread. */
const SAVES_AT_ONCE = 8;

const hibernations = counter('fairlead_sandbox_hibernations_total', 'Workspaces saved and restored', ['outcome']);

export interface Owner {
  session: string;
  server: string;
}

export function ownerKey({ session, server }: Owner): string {
  return `${session} ${server}`; // neither contains a space
}

export class Workspaces {
  readonly #archives: Archives;
  readonly #index: SavedIndex | undefined;
  /** Saves under way, by session and server. Never reject. */
  readonly #saves = new Map<string, Promise<unknown>>();
  readonly #saving = bulkhead(SAVES_AT_ONCE, Infinity);

  /** A save is complete. */
  onSaved: (owner: Owner, saved: Saved) => void = () => undefined;

  /** Without `index` a save that is missing at its restore is not noticed. */
  constructor(archives: Archives, index?: SavedIndex) {
    this.#archives = archives;
    this.#index = index;
  }

  /** Errors as `Archives.save`; the sandbox is unchanged then. */
  async save(owner: Owner, sandbox: RunningSandbox, signal?: AbortSignal): Promise<Saved> {
    const key = ownerKey(owner);
    const saving = this.#saving.execute(() => this.#archives.save(owner.session, owner.server, sandbox, { signal }));
    const settled = saving
      .catch(() => undefined) // `save` itself rejects
      .finally(() => {
        if (this.#saves.get(key) === settled) this.#saves.delete(key);
      });
    this.#saves.set(key, settled);
    const saved = await saving;
    if (saved.bytes > 0) this.#index?.note(owner);
    else this.#index?.remove(owner);
    this.onSaved(owner, saved);
    hibernations.inc({ outcome: saved.files > 0 ? 'saved' : 'empty' });
    return saved;
  }

  /** Resolves when a save under way has ended, in whatever way. */
  async settled(owner: Owner): Promise<void> {
    await this.#saves.get(ownerKey(owner));
  }

  has({ session, server }: Owner): boolean {
    return this.#archives.has(session, server);
  }

  /** Whether a save was made that is not there: once, then it is forgotten. */
  takeMissing(owner: Owner): boolean {
    if (this.has(owner) || this.#index?.has(owner) !== true) return false;
    this.#index.remove(owner);
    return true;
  }

  /** The session has ended. */
  async forget(session: string): Promise<void> {
    this.#index?.forget(session);
    await this.#archives.forget(session);
  }

  /** Those that have a save, or should have. */
  async sessions(): Promise<string[]> {
    return [...(await this.#archives.sessions()), ...(this.#index?.sessions() ?? [])];
  }

  /** The newest save; undefined: there is none. */
  newest({ session, server }: Owner): Promise<SavedWorkspace | undefined> {
    return this.#archives.newest(session, server);
  }

  /** Undefined without an archive. Errors as `Archives.restore`; destroy the sandbox then. */
  async restore(
    { session, server }: Owner,
    sandbox: RunningSandbox,
    signal: AbortSignal,
  ): Promise<SavedWorkspace | undefined> {
    try {
      const restored = await this.#archives.restore(session, server, sandbox, signal);
      hibernations.inc({ outcome: 'restored' });
      return restored;
    } catch (error) {
      hibernations.inc({ outcome: 'restore_failed' });
      if (!this.has({ session, server })) this.#index?.remove({ session, server }); // damaged, and put aside
      throw error;
    }
  }
}
