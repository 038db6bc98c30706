/**
 * What an earlier docker thread, or a server that was killed, has left running, taken up again: sandboxes that somebody had
 * wait for their session, those that nobody had go back on the shelf, the rest is removed. Docker thread.
 */
import { bulkhead } from 'cockatiel';
import { setTimeout as delay } from 'node:timers/promises';
import { FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import { counter } from '../../../src/shared/metrics.js';
import type { ContainerPool } from '../pool/container-pool.js';
import type { Adopting, FoundSandbox, RunningSandbox } from '../driver/driver.js';
import type { LeaseRecord, LeaseRecords } from './lease-records.js';
import { attachPatiently, waitFor } from './orphans.js';
import type { Pools } from '../pool/pools.js';
import { ownerKey, type Owner, type Workspaces } from '../archive/workspaces.js';

const AT_ONCE = 8;
const LOOK_AGAIN_MS = 1_000;

const adoptions = counter('fairlead_sandbox_adoptions_total', 'Sandboxes of an earlier run, by what became of them', [
  'fate',
]);

/**
 * keep: it waits for its session. shelve: nobody has had it. save: its session's, but it cannot go on as it is: its files are
 * saved, then it goes. remove: no one's.
 */
export type AdoptionDecision = 'keep' | 'warm' | 'save' | 'remove';

export interface AdoptionInput {
  found: Pick<FoundSandbox, 'runs' | 'named' | 'options'>;
  /** nobody: there is no record. unknown: there is one that names no session. */
  record: LeaseRecord | 'nobody' | 'unknown';
  /** What a sandbox of this server would be made with now; none: the server is not configured; unknown: its image is not there. */
  options: readonly string[] | 'none' | 'unknown';
  /** The session's server has saved files. */
  archived: boolean;
  /** A newer one of the same session's server is kept. */
  outdated: boolean;
}

export function decideAdoption({ found, record, options, archived, outdated }: AdoptionInput): AdoptionDecision {
  if (!found.runs || record === 'unknown' || outdated) return 'remove';
  const alike = Array.isArray(options) && options.includes(found.options);
  // A record that was lost must not make somebody's sandbox another's.
  if (record === 'nobody') return alike && !found.named ? 'warm' : 'remove';
  // The archive goes when all of it has been put back: until then a half filled workspace is nothing to go on with.
  if (record.restoring && archived) return 'remove';
  // Never more rights than the configuration gives now; without the image nothing better than what runs is to be had.
  return alike || options === 'unknown' ? 'keep' : 'save';
}

export interface AdoptionOptions {
  driver: Adopting;
  records: LeaseRecords;
  pools: Pools;
  workspaces: Workspaces;
  log: Logger;
  /** It is leased, and an orphan, from here on. */
  keep: (found: FoundSandbox, record: LeaseRecord, pool: ContainerPool) => void;
}

export class Adoption {
  readonly #options: AdoptionOptions;
  readonly #closing = new AbortController();
  readonly #slots = bulkhead(AT_ONCE, Infinity);
  /** By name: records of the earlier run whose sandboxes have not been looked for yet. */
  #pending = new Map<string, LeaseRecord | undefined>();
  /** By name: what is being removed, after its session's files (`key`) were saved where there are any; never reject. */
  readonly #ending = new Map<string, { key: string; done: Promise<void> }>();
  #firstLook: Promise<unknown> = Promise.resolve();
  #done: Promise<void> = Promise.resolve();

  constructor(options: AdoptionOptions) {
    this.#options = options;
  }

  /** Reads the records, and looks for what there is, again and again until Docker answers. ERR_SANDBOX: they cannot be read. */
  start(): void {
    const { records } = this.#options;
    records.load();
    this.#pending = records.read();
    const first = this.#tryAdopt();
    this.#firstLook = first;
    this.#done = this.#retryUntilListed(first);
  }

  /** When it has been looked once, whether Docker has answered or not. */
  get firstLook(): Promise<unknown> {
    return this.#firstLook;
  }

  /** When it is known what everything is; or it is closed. */
  get done(): Promise<void> {
    return this.#done;
  }

  /** Not to be removed by anybody else. */
  isPending(name: string): boolean {
    return this.#pending.has(name) || this.#ending.has(name);
  }

  /** Resolves when a fresh sandbox of this session's server would be beside none of an earlier run. ERR_UNAVAILABLE; the signal's reason. */
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

  /** Nothing is taken up from then on: what Docker has not shown so far stays for the next start. */
  async stop(): Promise<void> {
    await this.#firstLook;
    this.#closing.abort(new FairleadError('ERR_DRAINING', 'the server is stopping'));
  }

  /** When what is being saved and removed has ended. */
  async ended(): Promise<void> {
    await Promise.all([...this.#ending.values()].map(({ done }) => done));
  }

  async #retryUntilListed(first: Promise<boolean>): Promise<void> {
    const { signal } = this.#closing;
    for (let placed = await first; !placed && !signal.aborted; placed = await this.#tryAdopt()) {
      await delay(LOOK_AGAIN_MS, undefined, { signal }).catch(() => undefined); // aborted: the loop ends
    }
  }

  async #tryAdopt(): Promise<boolean> {
    const { driver, pools, log } = this.#options;
    try {
      const found = await driver.find();
      const options = new Map<ContainerPool, string | undefined>();
      // Only asked when it matters: an image that is not there is no news to a box that has nothing left over.
      if (found.length > 0) for (const pool of pools.distinct()) options.set(pool, await pool.optionsNow());
      if (this.#closing.signal.aborted) return false;
      this.#adoptAll(found, options);
      return true;
    } catch (error) {
      if (!this.#closing.signal.aborted) log.warn({ err: error }, 'what an earlier run left could not be looked for');
      return false;
    }
  }

  /** No await from here to its end: each is the earlier run's or this one's, at every moment. */
  #adoptAll(found: readonly FoundSandbox[], options: ReadonlyMap<ContainerPool, string | undefined>): void {
    const { records, log } = this.#options;
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
    for (const name of pending.keys()) records.remove(name);
    if (found.length > 0) log.info(decisions, 'sandboxes of an earlier run taken up');
  }

  #adoptOne(
    found: FoundSandbox,
    pending: ReadonlyMap<string, LeaseRecord | undefined>,
    options: ReadonlyMap<ContainerPool, string | undefined>,
    kept: Set<string>,
  ): AdoptionDecision {
    const { pools, workspaces, keep } = this.#options;
    const record = pending.get(found.name);
    const owned = record && { record, key: ownerKey(record), pool: pools.of(record.server) };
    const now = owned ? (owned.pool ? options.get(owned.pool) : 'none') : undefined;
    const decision = decideAdoption({
      found,
      record: record ?? (pending.has(found.name) ? 'unknown' : 'nobody'),
      options: owned ? (now === undefined ? 'unknown' : now === 'none' ? 'none' : [now]) : defined(options.values()),
      archived: record !== undefined && workspaces.has(record),
      outdated: owned !== undefined && kept.has(owned.key),
    });
    if (owned && (decision === 'keep' || decision === 'save')) kept.add(owned.key);
    const pool = [...options].find(([, value]) => value === found.options)?.[0];
    if (decision === 'keep' && owned?.pool) keep(found, owned.record, owned.pool);
    else if (decision === 'warm' && pool) pool.adoptWarm(found, (work) => this.#slots.execute(work));
    else this.#end(found, decision === 'save' ? record : undefined);
    return decision;
  }

  #end(found: FoundSandbox, saveFor: Owner | undefined): void {
    const done = this.#slots
      .execute(() => this.#saveAndRemove(found, saveFor))
      .catch((error: unknown) => {
        this.#options.log.warn({ err: error, sandbox: found.id }, 'a sandbox of an earlier run stays for now');
      })
      .finally(() => this.#ending.delete(found.name));
    this.#ending.set(found.name, { key: saveFor ? ownerKey(saveFor) : '', done });
  }

  async #saveAndRemove(found: FoundSandbox, saveFor: Owner | undefined): Promise<void> {
    const { records, workspaces, log } = this.#options;
    let running: RunningSandbox | undefined;
    if (saveFor) {
      const { signal } = this.#closing;
      try {
        running = await attachPatiently(found, signal, log);
        await workspaces.save(saveFor, running);
      } catch (error) {
        signal.throwIfAborted(); // the next start does it
        log.error({ err: error, sandbox: found.id, ...saveFor }, 'a workspace could not be saved and is lost');
      }
    }
    records.end(found.name); // what is saved is the truth from now on
    await (running ?? found).destroy();
    records.remove(found.name);
  }
}

function defined(values: Iterable<string | undefined>): string[] {
  return [...values].filter((value) => value !== undefined);
}
