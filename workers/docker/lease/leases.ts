/** Leases: which sandbox belongs to which session, and how each lease ends: saved, lost or left to the next start. Docker thread. */
import { setTimeout as delay } from 'node:timers/promises';
import { FairleadError, isFairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import type { Saved } from '../archive/archives.js';
import { messageOf } from '../archive/archive-errors.js';
import { ownerKey, type Owner, type Workspaces } from '../archive/workspaces.js';
import type { LeaseRecords } from './lease-records.js';
import type { Lease } from './lease.js';
import { lossOf, noteSkipped, whatComesBack, type Losses } from './losses.js';

/** At the stop, how long an adopted sandbox may take to attach, so that it can be saved. */
const ATTACH_AT_THE_STOP_MS = 10_000;
const SAVE_AGAIN_MS = 2_000;
/** The first save of a sandbox that is replaced: what runs in it may keep it from ever ending. */
const FIRST_SAVE_MS = 20_000;
const FREEZE_MS = 15_000;
/** Of output that waits for a thread that makes no turn of its event loop. */
const LOUD_BYTES = 262_144;

/** Further sessions of a shared sandbox find a loss in the log alone: its record is written anew for each. */
const MAX_CHANGERS = 1_000;

const NOTHING = Promise.resolve({});

export interface LeasesOptions {
  workspaces: Workspaces;
  /** Absent: no sandbox outlives this thread. */
  records: LeaseRecords | undefined;
  /** Absent: nobody is told of lost files. */
  losses: Losses | undefined;
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
    options.workspaces.onSaved = (owner, savedAt) => this.#noteSaved(owner, savedAt);
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

  /** A call that may change files begins or has ended; so many run now. `by`: whose it is, where a sandbox is shared. */
  noteChange(lease: Lease, running = lease.changing ?? 0, by = lease.session): void {
    lease.changing = running;
    const isKnown = lease.changedAt !== undefined && !addChanger(lease, by);
    lease.changedAt = Date.now();
    if (isKnown || !this.has(lease)) return;
    const synced = this.#recordChange(lease);
    if (synced) void lease.relay?.holdOutput(synced); // no result before the disk knows that there is something to lose
  }

  #recordChange(lease: Lease): Promise<void> | undefined {
    const { records, log } = this.#options;
    if (!records) return undefined;
    const failed = (err: unknown): void => log.error({ err, sandbox: lease.id }, 'a change of files is not recorded');
    try {
      this.record(lease, false);
      return records.sync(lease.sandbox.name).catch(failed);
    } catch (error) {
      failed(error);
      return undefined;
    }
  }

  #noteSaved({ session, server }: Owner, savedAt: number): void {
    const lease = this.all().find((held) => held.session === session && held.server === server);
    if (lease?.changedAt === undefined || lease.changedAt >= savedAt || (lease.changing ?? 0) > 0) return;
    delete lease.changedAt;
    delete lease.changedBy;
    try {
      this.record(lease, false);
    } catch (error) {
      this.#options.log.warn({ err: error, sandbox: lease.id }, 'a save is not recorded'); // then too much is called lost
    }
  }

  /** It has died. Resolves when it has ended. */
  async died(lease: Lease, reason: string): Promise<void> {
    lease.dead = true;
    await this.#lose(lease, reason);
    await this.endQuietly(lease, reason);
  }

  /** The save that was to come back is damaged, and was put aside. Resolves when the loss is on disk. */
  async lostSave({ sandbox: { name }, session, server, leasedAt }: Lease, error: unknown): Promise<void> {
    const of = lossOf(`${name}.save`, { session, server, leasedAt });
    await this.#options.losses?.note(
      { ...of, reason: `its saved files cannot be read (${messageOf(error)})` },
      NOTHING,
    );
  }

  /** A save that was made is not there at its restore. Resolves when the loss is on disk. */
  async missingSave(owner: Owner): Promise<void> {
    const of = lossOf(`${owner.session}.${owner.server}.save`, { ...owner, leasedAt: Date.now() });
    await this.#options.losses?.note({ ...of, reason: 'its saved files are missing' }, NOTHING);
  }

  /** Resolves when the loss is on disk, where there is one. */
  async #lose(lease: Lease, reason: string): Promise<void> {
    if (lease.changedAt === undefined) return;
    const { losses, workspaces } = this.#options;
    await losses?.note({ ...lossOf(lease.sandbox.name, lease), reason }, whatComesBack(workspaces, lease));
  }

  /** Cuts off sandboxes of these sessions that have much output which their thread does not take. Returns how many. */
  cutLoud(isOf: (session: string) => boolean): number {
    const loud = this.all().filter(({ session, relay }) => relay && relay.unacked >= LOUD_BYTES && isOf(session));
    for (const { id, session, relay } of loud) {
      this.#options.log.warn({ sandbox: id, session }, 'a sandbox is cut off from a thread that may hang');
      relay?.cutOff('its output held up its agent thread');
    }
    return loud.length;
  }

  /** Resolves when this session's sandbox is not on its way out; one that it still holds is saved first. */
  async left(owner: Owner): Promise<void> {
    const ofOwner = (): Lease[] => this.all().filter((lease) => ownerKey(lease) === ownerKey(owner));
    if (ofOwner().some(({ relay, leaving }) => relay && !leaving)) await delay(0); // its port’s end may be about to be told
    for (const lease of ofOwner()) {
      if (lease.leaving) await lease.leaving;
      else if (lease.relay) await this.saveAndEnd(lease, 'its session asks for another one');
    }
  }

  async hibernate(lease: Lease): Promise<Saved> {
    lease.saving = new AbortController();
    const saved = await this.#saveForGood(lease, lease.saving.signal).finally(() => delete lease.saving);
    await this.end(lease, 'hibernated');
    const { session, server, id } = lease;
    const { bytes, files, skipped } = saved;
    this.#options.log.info(
      { session, server, sandbox: id, bytes, files, skipped: skipped.count },
      'sandbox hibernated',
    );
    return saved;
  }

  async save(lease: Lease, signal?: AbortSignal): Promise<Saved> {
    if (lease.dead) throw new FairleadError('ERR_SANDBOX', 'the sandbox has ended');
    const { running } = lease.sandbox;
    if (!running) throw new FairleadError('ERR_UNAVAILABLE', 'the sandbox cannot be reached');
    return this.#options.workspaces.save(lease, running, signal);
  }

  /** As `save`, before the sandbox goes: what was left out is lost then. */
  async #saveForGood(lease: Lease, signal?: AbortSignal): Promise<Saved> {
    const saved = await this.save(lease, signal);
    await noteSkipped(this.#options.losses, lossOf(lease.sandbox.name, lease), saved);
    return saved;
  }

  /**
   * Saves it as far as that is possible, and ends it. True: its files are saved. ERR_SANDBOX, ERR_UNAVAILABLE: they are not,
   * and it stays; with `discard` it ends all the same.
   */
  async replace(lease: Lease, reason: string, discard: boolean): Promise<boolean> {
    const { log } = this.#options;
    let saved = true;
    const saving = this.#saveHard(lease);
    lease.leaving = saving.catch(() => undefined);
    try {
      await saving;
    } catch (error) {
      delete lease.leaving;
      if (!discard) throw error;
      await this.#lose(lease, `${reason}, and its files could not be saved (${messageOf(error)})`);
      saved = false;
    }
    log.warn({ session: lease.session, server: lease.server, sandbox: lease.id, reason }, 'a sandbox is replaced');
    const files = saved ? 'its files are saved, and the next call gets a fresh one with them' : 'its files are lost';
    await this.endQuietly(lease, `${reason}; ${files}`);
    return saved;
  }

  /** A second try stops all that runs in it first, since it may hold every process that the sandbox may have. */
  async #saveHard(lease: Lease): Promise<void> {
    const { running } = lease.sandbox;
    try {
      await this.#saveForGood(lease, AbortSignal.timeout(FIRST_SAVE_MS));
    } catch (error) {
      if (!running?.freeze || isFairleadError(error, 'ERR_UNAVAILABLE')) throw error;
      this.#options.log.warn({ err: error, sandbox: lease.id }, 'a sandbox is stopped to save it');
      const thaw = await running.freeze(AbortSignal.timeout(FREEZE_MS));
      try {
        await this.#saveForGood(lease);
      } catch (second) {
        await thaw();
        throw second;
      }
    }
  }

  saveAndEnd(lease: Lease, reason: string): Promise<void> {
    const leaving = this.#saveAndEnd(lease, reason);
    lease.leaving = leaving;
    return leaving;
  }

  async #saveAndEnd(lease: Lease, reason: string): Promise<void> {
    try {
      await this.#saveWhenDockerAnswers(lease);
    } catch (error) {
      if (!this.#closing) await this.#lose(lease, `${reason}, and its files could not be saved (${messageOf(error)})`);
    }
    if (!this.#closing) await this.endQuietly(lease, reason); // else `close` saves it, and ends it
  }

  /** The session's files are worth the wait for a daemon that starts again. */
  async #saveWhenDockerAnswers(lease: Lease): Promise<void> {
    if (!lease.sandbox.running) throw new FairleadError('ERR_SANDBOX', 'the sandbox has ended');
    while (this.has(lease) && !this.#closing) {
      try {
        await this.#saveHard(lease);
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
  record(
    { sandbox, session, server, image, generation, leasedAt, changedAt, changedBy }: Lease,
    restoring: boolean,
  ): void {
    const changed = changedAt !== undefined;
    const startedAt = sandbox.running?.startedAt ?? sandbox.startedAt;
    this.#options.records?.write(sandbox.name, {
      session,
      server,
      image,
      generation,
      restoring,
      leasedAt,
      changed,
      ...(startedAt && { startedAt }),
      ...(changedBy && { changedBy: [...changedBy] }),
    });
  }

  /**
   * Agent threads have released theirs by now: these are orphans, or leases of a thread that hangs. A sandbox that cannot be
   * saved stays with its record, and the next start adopts it.
   */
  async saveAtTheStop(lease: Lease): Promise<void> {
    const { sandbox } = lease;
    try {
      if (!sandbox.running) await this.#options.settled(lease, ATTACH_AT_THE_STOP_MS);
      await this.#saveForGood(lease);
    } catch (error) {
      if (this.#options.records) return this.#leave(lease, error);
      await this.#lose(lease, `the server stopped, and its files could not be saved (${messageOf(error)})`);
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

  leftOver({ id }: Lease, error: unknown): void {
    this.#options.log.warn({ err: error, sandbox: id }, 'a sandbox is left to the next reconcile');
  }
}

/** Whether it is new that this session has changed files of a shared sandbox. */
function addChanger(lease: Lease, session: string): boolean {
  const { changedBy = new Set() } = lease;
  if (session === lease.session || changedBy.has(session) || changedBy.size >= MAX_CHANGERS) return false;
  lease.changedBy = new Set([...changedBy, session]);
  return true;
}
