/** Puts the session into the names of leased containers, for operators: one at a time and later, since nobody waits for a name. Docker thread. */
import type { Lease } from './lease.js';

export class ContainerNames {
  /** Leases whose container is not renamed yet. */
  readonly #waiting = new Set<Lease>();
  #renaming = false;

  add(lease: Lease): void {
    if (lease.sandbox.running?.assign) this.#waiting.add(lease);
  }

  /** The lease has ended. */
  forget(lease: Lease): void {
    this.#waiting.delete(lease);
  }

  clear(): void {
    this.#waiting.clear();
  }

  /** Never rejects. */
  async renameAll(): Promise<void> {
    if (this.#renaming) return;
    this.#renaming = true;
    for (const lease of this.#waiting) {
      this.#waiting.delete(lease);
      await lease.sandbox.running?.assign?.(lease.session);
    }
    this.#renaming = false;
  }
}
