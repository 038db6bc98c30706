/** Saves and restores workspaces: a few saves at a time, counted, and known to who leases next. Docker thread. */
import { bulkhead } from 'cockatiel';
import { FairleadError } from '../../../src/shared/errors.js';
import { counter } from '../../../src/shared/metrics.js';
import type { SavedWorkspace } from '../contract/messages.js';
import type { Archives, Saved, SaveOptions } from './archives.js';
import type { SavedIndex } from './saved-index.js';
import type { SaveResult } from './save.js';
import type { RunningSandbox } from '../driver/driver.js';

/** Each runs a tar in its container and streams it through this thread. */
const SAVES_AT_ONCE = 8;

const hibernations = counter('fairlead_sandbox_hibernations_total', 'Workspaces saved and restored', ['outcome']);

export interface Owner {
  session: string;
  server: string;
  /** Key in `images`, for a new sandbox. */
  image?: string | undefined;
}

export function ownerKey({ session, server }: Owner): string {
  return `${session} ${server}`; // neither contains a space
}

export class Workspaces {
  readonly #archives: Archives;
  readonly #index: SavedIndex | undefined;
  /** Saves under way, by session and server. Never reject. */
  readonly #saves = new Map<string, Promise<unknown>>();
  /** By session and server: what cuts the checkpoint under way. */
  readonly #checkpoints = new Map<string, AbortController>();
  readonly #saving = bulkhead(SAVES_AT_ONCE, Infinity);

  /** All that a sandbox had at this time is saved, or it is about to go. */
  onSaved: (owner: Owner, savedAt: number) => void = () => undefined;

  /** Without `index` a save that is missing at its restore is not noticed. */
  constructor(archives: Archives, index?: SavedIndex) {
    this.#archives = archives;
    this.#index = index;
  }

  /** Errors as `Archives.save`; the sandbox is unchanged then. */
  async save(owner: Owner, sandbox: RunningSandbox, signal?: AbortSignal): Promise<Saved> {
    const key = ownerKey(owner);
    this.cutCheckpoint(owner);
    const { session, server } = owner;
    const saving = this.#saving.execute(() => this.#archives.save(session, server, sandbox, { signal }));
    const settled = saving
      .catch(() => undefined) // `save` itself rejects
      .finally(() => {
        if (this.#saves.get(key) === settled) this.#saves.delete(key);
      });
    this.#saves.set(key, settled);
    const { bytes, savedAt, files, skipped } = await saving;
    this.#noteIndex(owner, bytes);
    this.onSaved(owner, savedAt);
    hibernations.inc({ outcome: files > 0 ? 'saved' : 'empty' });
    return { bytes, savedAt, files, skipped };
  }

  /**
   * A save in the background: undefined when something else came first, or cut it. Else errors as `Archives.save`; the older
   * archive stays then.
   */
  async checkpoint(
    owner: Owner,
    sandbox: RunningSandbox,
    options: Omit<SaveOptions, 'signal'>,
  ): Promise<SaveResult | undefined> {
    const key = ownerKey(owner);
    if (this.#saves.has(key) || this.#checkpoints.has(key)) return undefined;
    const cut = new AbortController();
    this.#checkpoints.set(key, cut);
    const { session, server } = owner;
    try {
      const saved = await this.#archives.save(session, server, sandbox, { ...options, signal: cut.signal });
      if (!saved.unchanged) this.#noteIndex(owner, saved.bytes);
      const { skipped } = saved.unchanged ? ((await this.newest(owner)) ?? saved) : saved;
      if (skipped.count === 0) this.onSaved(owner, saved.savedAt); // else the sandbox has files that nothing else has
      return saved;
    } catch (error) {
      if (cut.signal.aborted) return undefined;
      throw error;
    } finally {
      this.#checkpoints.delete(key);
    }
  }

  /** The sandbox is on its way out, or somebody else needs the workspace or the archive. */
  cutCheckpoint(owner: Owner): void {
    this.#checkpoints.get(ownerKey(owner))?.abort(new FairleadError('ERR_CANCELLED', 'something else came first'));
  }

  #noteIndex(owner: Owner, bytes: number): void {
    if (bytes > 0) this.#index?.note(owner);
    else this.#index?.remove(owner);
  }

  /** Resolves when a save under way has ended, in whatever way. */
  async settled(owner: Owner): Promise<void> {
    this.cutCheckpoint(owner);
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
