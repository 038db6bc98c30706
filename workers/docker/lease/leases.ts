/** Leases: which sandbox belongs to which session, and how each lease ends: saved, lost or left to the next start. Docker thread. */
import { setTimeout as delay } from 'node:timers/promises';
import { FairleadError, isFairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import type { Saved } from '../archive/archives.js';
import type { Workspaces } from '../archive/workspaces.js';
import type { LeaseRecords } from './lease-records.js';
import type { Lease } from './lease.js';

/** At the stop, how long an adopted sandbox may take to attach, so that it can be saved. */
const ATTACH_AT_THE_STOP_MS = 10_000;
const SAVE_AGAIN_MS = 2_000;

export interface LeasesOptions {
  workspaces: Workspaces;
  /** Absent: no sandbox outlives this thread. */
  records: LeaseRecords | undefined;
  log: Logger;
  /** The lease has ended; its sandbox is not given back yet. */
  onEnd: (lease: Lease, reason: string) => void;
  /** Resolves when no work on this orphan is under way. */
  settled: (lease: Lease, timeoutMs: number) => Promise<void>;
}

export class Leases {
  readonly #options: LeasesOptions;
  /** By the sandbox's id, orphans included. */
  readonly #held = new Map<string, Lease>();
  /** Leases whose sandbox is on its way back to its pool. */
  readonly #ending = new Set<Lease>();
  #closing = false;

  constructor(options: LeasesOptions) {
    this.#options = options;
  }

  add(lease: Lease): void {
    this.#held.set(lease.id, lease);
  }

  get(id: string): Lease | undefined {
    return this.#held.get(id);
  }

  /** Whether it has not ended. */
  has(lease: Lease): boolean {
    return this.#held.get(lease.id) === lease;
  }

  all(): Lease[] {
    return [...this.#held.values()];
  }

  /** Those on their way back included. */
  withEnding(): Lease[] {
    return [...this.#held.values(), ...this.#ending];
  }

  /** From now on `saveAtTheStop` ends what is left. */
  close(): void {
    this.#closing = true;
  }

  async hibernate(lease: Lease): Promise<Saved> {
    const saved = await this.save(lease);
    await this.end(lease, 'hibernated');
    const { session, server, id } = lease;
    this.#options.log.info({ session, server, sandbox: id, ...saved }, 'sandbox hibernated');
    return saved;
  }

  async save(lease: Lease): Promise<Saved> {
    const { running } = lease.sandbox;
    if (!running) throw new FairleadError('ERR_UNAVAILABLE', 'the sandbox cannot be reached');
    return this.#options.workspaces.save(lease, running);
  }

  async saveAndEnd(lease: Lease, reason: string): Promise<void> {
    try {
      await this.#saveWhenDockerAnswers(lease);
    } catch (error) {
      this.#warnUnsaved(lease, error);
    }
    if (!this.#closing) await this.endQuietly(lease, reason); // else `close` saves it, and ends it
  }

  /** The session's files are worth the wait for a daemon that starts again. */
  async #saveWhenDockerAnswers(lease: Lease): Promise<void> {
    if (!lease.sandbox.running) throw new FairleadError('ERR_SANDBOX', 'the sandbox has ended');
    while (this.has(lease) && !this.#closing) {
      try {
        await this.save(lease);
        return;
      } catch (error) {
        if (!isFairleadError(error, 'ERR_UNAVAILABLE')) throw error;
        this.#options.log.warn({ err: error, sandbox: lease.id }, 'a workspace cannot be saved now');
        await delay(SAVE_AGAIN_MS);
      }
    }
  }

  async endQuietly(lease: Lease, reason: string): Promise<void> {
    await this.end(lease, reason).catch((error: unknown) => this.leftOver(lease, error));
  }

  /** Later callers join the end under way. */
  async end(lease: Lease, reason: string): Promise<void> {
    if (this.has(lease)) {
      this.#held.delete(lease.id); // first, since the pool may lease the sandbox again at once
      this.#options.onEnd(lease, reason);
      this.#options.records?.end(lease.sandbox.name);
      lease.ended = lease.pool.giveBack(lease.sandbox).finally(() => this.#ending.delete(lease));
      this.#ending.add(lease);
    }
    await lease.ended;
  }

  /** ERR_SANDBOX. */
  record({ sandbox, session, server, generation }: Lease, restoring: boolean): void {
    this.#options.records?.write(sandbox.name, { session, server, generation, restoring });
  }

  /**
   * Agent threads have released theirs by now: these are orphans, or leases of a thread that hangs. A sandbox that cannot be
   * saved stays with its record, and the next start adopts it.
   */
  async saveAtTheStop(lease: Lease): Promise<void> {
    const { sandbox } = lease;
    try {
      if (!sandbox.running) await this.#options.settled(lease, ATTACH_AT_THE_STOP_MS);
      await this.save(lease);
    } catch (error) {
      if (this.#options.records) return this.#leave(lease, error);
      this.#warnUnsaved(lease, error);
    }
    await this.end(lease, 'the server is stopping');
  }

  #leave(lease: Lease, error: unknown): never {
    this.#held.delete(lease.id); // first, so that the end of its relay does not end the sandbox
    lease.sandbox.abort.abort(error); // ends its attach
    lease.relay?.end(null, 'the server is stopping');
    const { id, session } = lease;
    this.#options.log.warn({ err: error, sandbox: id, session }, 'a workspace is not saved: its sandbox stays');
    throw error;
  }

  #warnUnsaved({ id, session }: Lease, error: unknown): void {
    this.#options.log.error({ err: error, sandbox: id, session }, 'a workspace could not be saved and is lost');
  }

  leftOver({ id }: Lease, error: unknown): void {
    this.#options.log.warn({ err: error, sandbox: id }, 'a sandbox is left to the next reconcile');
  }
}
