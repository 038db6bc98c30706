/**
 * Adopts the sandboxes that an earlier docker thread, or a killed server, left running: leased ones wait for their session,
 * unused ones go to their warm pool, the others are removed. Docker thread.
 */
import { bulkhead } from 'cockatiel';
import { setTimeout as delay } from 'node:timers/promises';
import { FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { counter } from '../../../src/shared/metrics.js';
import type { ContainerPool } from '../pool/container-pool.js';
import type { Adopting, FoundSandbox, RunningSandbox } from '../driver/driver.js';
import { messageOf } from '../archive/archive-errors.js';
import { mayHaveChanged, type LeaseRecord, type LeaseRecords } from './lease-records.js';
import { lossOf, noteSkipped, whatComesBack, type Losses } from './losses.js';
import { attachPatiently, waitFor } from './orphans.js';
import type { Pools } from '../pool/pools.js';
import { ownerKey, type Owner, type Workspaces } from '../archive/workspaces.js';

const AT_ONCE = 8;
const LOOK_AGAIN_MS = 1_000;

const adoptions = counter('fairlead_sandbox_adoptions_total', 'Sandboxes of an earlier run, by decision', ['fate']);

/**
 * keep: it waits for its session. warm: it is unused and joins its warm pool. save: it is outdated, so its files are saved
 * and it is removed. remove: it belongs to nobody.
 */
export type AdoptionDecision = 'keep' | 'warm' | 'save' | 'remove';

export interface AdoptionInput {
  found: Pick<FoundSandbox, 'runs' | 'named' | 'options'>;
  /** nobody: no record. unknown: a record without a session. */
  record: LeaseRecord | 'nobody' | 'unknown';
  /** Options hashes of sandboxes started now. none: the server is not configured. unknown: its image is missing. */
  options: readonly string[] | 'none' | 'unknown';
  /** The session has an archive of this server. */
  archived: boolean;
  /** A newer sandbox of the same session and server is kept. */
  outdated: boolean;
}

export function decideAdoption({ found, record, options, archived, outdated }: AdoptionInput): AdoptionDecision {
  if (!found.runs || record === 'unknown' || outdated) return 'remove';
  const alike = Array.isArray(options) && options.includes(found.options);
  // A renamed container was leased: even when its record is lost, no other session may get it.
  if (record === 'nobody') return alike && !found.named ? 'warm' : 'remove';
  // The restore did not finish: the archive counts. 0.2.0 deleted the archive at the end and left the record as it was.
  if (record.restoring && archived) return 'remove';
  // A sandbox never has more rights than today's configuration gives. If its image is missing, no better one can be started.
  return alike || options === 'unknown' ? 'keep' : 'save';
}

export interface AdoptionOptions {
  driver: Adopting;
  records: LeaseRecords;
  pools: Pools;
  workspaces: Workspaces;
  losses: Losses | undefined;
  log: Logger;
  /** Takes the sandbox over as a lease and an orphan. */
  keep: (found: FoundSandbox, record: LeaseRecord, pool: ContainerPool) => void;
}

export class Adoption {
  readonly #options: AdoptionOptions;
  readonly #closing = new AbortController();
  readonly #slots = bulkhead(AT_ONCE, Infinity);
  /** Records of the earlier run whose sandboxes are not decided on yet, by name. */
  #pending = new Map<string, LeaseRecord | undefined>();
  /** Sandboxes being saved (for the session in `key`) and removed, by name. Never reject. */
  readonly #ending = new Map<string, { key: string; done: Promise<void> }>();
  #firstLook: Promise<unknown> = Promise.resolve();
  #done: Promise<void> = Promise.resolve();

  constructor(options: AdoptionOptions) {
    this.#options = options;
  }

  /** Reads the records, then lists sandboxes until Docker answers. ERR_SANDBOX: the records cannot be read. */
  start(): void {
    const { records } = this.#options;
    records.load();
    this.#pending = records.read();
    const first = this.#tryAdopt();
    this.#firstLook = first;
    this.#done = this.#retryUntilListed(first);
  }

  /** Resolves after the first try to list sandboxes, whether Docker answered or not. */
  get firstLook(): Promise<unknown> {
    return this.#firstLook;
  }

  /** Resolves when every sandbox is decided on, or at `stop`. */
  get done(): Promise<void> {
    return this.#done;
  }

  /** Whether the reconciler must leave this sandbox alone. */
  isPending(name: string): boolean {
    return this.#pending.has(name) || this.#ending.has(name);
  }

  /** Resolves when no undecided sandbox of this session and server is left. ERR_UNAVAILABLE; the signal's reason. */
  async settled(owner: Owner, signal: AbortSignal, timeoutMs: number): Promise<void> {
    const key = ownerKey(owner);
    const deadline = performance.now() + timeoutMs;
    if ([...this.#pending.values()].some((record) => record && ownerKey(record) === key)) {
      await waitFor(this.#done, signal, timeoutMs);
    }
    for (const ending of this.#ending.values()) {
      if (ending.key === key) await waitFor(ending.done, signal, deadline - performance.now());
    }
  }

  /** Adopts no more: sandboxes that Docker has not listed yet stay for the next start. */
  async stop(): Promise<void> {
    await this.#firstLook;
    this.#closing.abort(new FairleadError('ERR_DRAINING', 'the server is stopping'));
  }

  /** Resolves when the saves and removals under way have ended. */
  async ended(): Promise<void> {
    await Promise.all([...this.#ending.values()].map(({ done }) => done));
  }

  async #retryUntilListed(first: Promise<boolean>): Promise<void> {
    const { signal } = this.#closing;
    for (let done = await first; !done && !signal.aborted; done = await this.#tryAdopt()) {
      await delay(LOOK_AGAIN_MS, undefined, { signal }).catch(() => undefined); // aborted: the loop ends
    }
  }

  async #tryAdopt(): Promise<boolean> {
    const { driver, pools, log } = this.#options;
    try {
      const found = await driver.find();
      const options = new Map<ContainerPool, string | undefined>();
      // Only when there are sandboxes: else a missing image would be reported for nothing.
      if (found.length > 0) for (const pool of pools.distinct()) options.set(pool, await pool.optionsNow());
      if (this.#closing.signal.aborted) return false;
      this.#adoptAll(found, options);
      return true;
    } catch (error) {
      if (!this.#closing.signal.aborted)
        log.warn({ err: error }, 'the sandboxes of an earlier run could not be listed');
      return false;
    }
  }

  /** Without an await: at every moment a sandbox is either pending or decided on. */
  #adoptAll(found: readonly FoundSandbox[], options: ReadonlyMap<ContainerPool, string | undefined>): void {
    const { log } = this.#options;
    const pending = this.#pending;
    this.#pending = new Map();
    const generationOf = ({ name }: FoundSandbox): number => pending.get(name)?.generation ?? -1;
    const kept = new Set<string>();
    const decisions: Partial<Record<AdoptionDecision, number>> = {};
    for (const one of found.toSorted((a, b) => generationOf(b) - generationOf(a))) {
      const decision = this.#adoptOne(one, pending, options, kept);
      decisions[decision] = (decisions[decision] ?? 0) + 1;
      // 'shelve' is the label of 0.1.0, which dashboards know.
      adoptions.inc({ fate: decision === 'warm' ? 'shelve' : decision });
      pending.delete(one.name);
    }
    for (const [name, record] of pending) void this.#forget(name, record, 'its container was gone');
    if (found.length > 0) log.info(decisions, 'sandboxes of an earlier run adopted');
  }

  #adoptOne(
    found: FoundSandbox,
    pending: ReadonlyMap<string, LeaseRecord | undefined>,
    options: ReadonlyMap<ContainerPool, string | undefined>,
    kept: Set<string>,
  ): AdoptionDecision {
    const { pools, workspaces, keep } = this.#options;
    const record = pending.get(found.name);
    const owned = record && { record, key: ownerKey(record), pool: pools.of(record.server, record.image) };
    const now = owned ? (owned.pool ? options.get(owned.pool) : 'none') : undefined;
    const decision = decideAdoption({
      found,
      record: record ?? (pending.has(found.name) ? 'unknown' : 'nobody'),
      options: owned
        ? now === undefined
          ? 'unknown'
          : now === 'none'
            ? 'none'
            : [now]
        : [...options.values()].filter((value) => value !== undefined),
      archived: record !== undefined && workspaces.has(record),
      outdated: owned !== undefined && kept.has(owned.key),
    });
    if (owned && (decision === 'keep' || decision === 'save')) kept.add(owned.key);
    const pool = [...options].find(([, value]) => value === found.options)?.[0];
    if (decision === 'keep' && owned?.pool) keep(found, owned.record, owned.pool);
    else if (decision === 'warm' && pool) pool.adoptWarm(found, (work) => this.#slots.execute(work));
    else this.#end(found, record, decision === 'save');
    return decision;
  }

  async #forget(name: string, record: LeaseRecord | undefined, reason: string): Promise<void> {
    if (record) await this.#lose(name, record, reason);
    this.#options.records.remove(name);
  }

  /** Resolves when the loss is on disk, where there is one. */
  async #lose(name: string, record: LeaseRecord, reason: string): Promise<void> {
    const { losses, workspaces } = this.#options;
    if (!mayHaveChanged(record)) return;
    await losses?.note({ ...lossOf(name, record), reason }, whatComesBack(workspaces, record));
  }

  #end(found: FoundSandbox, record: LeaseRecord | undefined, saves: boolean): void {
    const done = this.#slots
      .execute(() => this.#saveAndRemove(found, record, saves))
      .catch((error: unknown) => {
        this.#options.log.warn(
          { err: error, sandbox: found.id },
          'a sandbox of an earlier run could not be removed now',
        );
      })
      .finally(() => this.#ending.delete(found.name));
    this.#ending.set(found.name, { key: record ? ownerKey(record) : '', done });
  }

  async #saveAndRemove(found: FoundSandbox, record: LeaseRecord | undefined, saves: boolean): Promise<void> {
    const { records, workspaces, losses, log } = this.#options;
    let running: RunningSandbox | undefined;
    if (record && saves) {
      const { signal } = this.#closing;
      try {
        const attach = (until: AbortSignal): Promise<RunningSandbox> => found.attach(until, record.startedAt);
        running = await attachPatiently({ id: found.id, attach }, signal, log);
        await noteSkipped(losses, lossOf(found.name, record), await workspaces.save(record, running));
      } catch (error) {
        signal.throwIfAborted(); // the next start saves it
        await this.#lose(found.name, record, `it was outdated, and its files could not be saved (${messageOf(error)})`);
      }
    } else if (record) {
      await this.#lose(found.name, record, found.runs ? 'its session had a newer one' : 'its container had ended');
    }
    records.end(found.name); // from now on the archive counts, not the sandbox
    await (running ?? found).destroy();
    records.remove(found.name);
  }
}
